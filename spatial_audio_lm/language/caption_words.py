"""Words that say nothing of what sounds: small words, words that any caption may be told with, and words of manner.

A rewriting may add and drop small words and telling words as it likes ("can be heard emanating
from"); words of manner
("loudly", "repeatedly") it may drop. Place words are not here: they are read by `parsing` and `place_cues`.
"""

from __future__ import annotations

from spatial_audio_lm.language.word_forms import words

FUNCTION_WORDS = frozenset(
    words("""
a an the this that these those there here it its it's itself they them their theirs themselves he him his himself she
her hers herself i me my mine myself we us our ours you your yours yourself one ones who whom whose which what when
where while as and or but nor so if though although because since than then thus of in on at to from for by with into
onto upon within through throughout during until till via per about around across along among amid amidst against
after before over off out toward towards between beyond past be am is are was were been being do does did done doing
have has had having can could will would shall should may might must not no never without both all each every either
neither some any other others another such same own too very quite rather just only also even still
yet again more most
much many lots lot several few little bit up down whilst once alongside together plus s t isn't aren't wasn't don't
doesn't didn't can't cannot that's there's what's is it'll et
""")
)  # fmt: skip
"""Small words of English."""

TELLING_WORDS = frozenset(
    words("""
sound sounds noise audio recording record recorded clip hear heard hearing audible audibly inaudible listen listener
listening listeners come comes coming came arrive arrives originate emanate emerge issue emit reach travel project
drift float carry waft locate location situate position place positioned placed stand sit lie stem derive
source sourced origin
point direction area spot side hand corner end edge part portion section half zone room space
chamber interior enclosure inside surroundings environment setting acoustic acoustics acoustically sonic sonically
somewhere something anywhere nothing occur happen take place unfold present
presence perceive perceived detect notice noticeable observe pick capture caught experience feature include
contain consist fill permeate pervade spread accompany follow precede combine join mix mingle blend
describe imagine search find seem seems appear clear clearly distinct distinctly discernible unmistakable well
person's microphone mic recorder receiver ear ears head feet body vantage perspective viewpoint

hall booth studio cubicle closet auditorium venue left right above below beneath underneath overhead behind
ahead front back near nearby far linger hang trail tail laden enclosed rich filled prone
someone somebody way
directly straight immediately slightly exactly precisely quite entirely altogether fully
being set made make makes produce create give let go going produced generate
ambience ambiance atmosphere scene backdrop soundscape time moment
wide walls size sized scale dimension dimensions proportion proportions feel quality character level kind type sort
position's us me yourself scenario space's room's heavily strongly highly plenty amount full
reveal reveals hold host hosts situated stretch extend belonging belong bring brings offer mark marked show
""")
)  # fmt: skip
"""Words that captions of any sound are told with, as they stand or as a stem."""

MANNER_WORDS = frozenset(
    words("""
loud loudly soft softly quiet quietly faint faintly gentle gently slow slowly fast quick quickly rapid rapidly sharp
sharply steady steadily constant constantly continuous continuously continual continually continue repeated repeatedly
repetitive repetitively repeat intermittent intermittently occasional occasionally frequent
frequently regular regularly
brief briefly short shortly long sudden suddenly abrupt abruptly gradual gradually eventual eventually final finally
initial initially subsequent subsequently next soon later simultaneously simultaneous concurrently
concurrent meanwhile
consistent consistently persistent persistently ongoing nonstop constant nearly almost lightly light heavy hard harsh
high low deep shrill intense intensely powerful strong weak mild subtle subtly different various multiple numerous
diverse varied first second third last certain random randomly periodically rhythmic rhythmically rhythmical distorted
clear clearly dull muffled smooth smoothly rough roughly noisy noisily vigorous vigorously lively busy heavy
increasingly decreasing increase decrease start begin started starting stop stopped end ended finish cease resume keep
play give get use operate perform deliver do occur happen background foreground nearby distant
distance away overhead far near proceed
try attempt manage succession sequence series bunch bout pattern rate pace frequency volume pitch pitched tone
somewhat particular particularly audibly several twice thrice instance interval intervals second minute
lone single individual person people alone solo entire whole general various indistinct indistinctly unintelligible
""")
)  # fmt: skip
"""Words of manner, number, time and course, which a caption may lose and still name the same sounds."""
