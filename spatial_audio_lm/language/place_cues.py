"""Every word that may say something of place or room: the loose list beside the strict one of `parsing`.

The parser believes a phrase or does not; whoever has to find out what a text must not say needs the words that the
parser passes over too: "left" wherever it stands, compass points, metres, "in the background", "a cathedral". A cue
names the attribute that it touches and the words of it that it fits. Some cues are as good as saying the word where the
word is known to be meant ("the bark echoes through the room" of a highly reverberant room); others never are
("the ceiling" does not say that the sound is above).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spatial_audio_lm.language.parsing import find_phrases, is_denied, plain

_ROOM = (
    r"(?:room|space|hall|chamber|auditorium|enclosure|booth|studio|cubicle|closet|interior|area|environment|setting"
    r"|confines|quarters|place|venue|acoustics?|atmosphere|surroundings)s?"
)
_BETWEEN = r"(?:,? (?!in\b|of\b|from\b|at\b|on\b|with\b|is\b|are\b|a\b|an\b|the\b)[a-z-]+){0,4},?"
_OF_ROOM = (
    rf"(?:-(?!ish\b)\w+)?(?={_BETWEEN} {_ROOM}\b)"
    # the words between are not of the cue: they have to be true too; "small-ish" is not small
)
_IS = r"(?:(?:that|which) )?(?:is|was|sounds|seems|feels)(?: \w+)?"
_ECHO = r"(?:echo\w*|re-?verb\w*|resonan\w*|resonat\w*)"
_UNIT = r"(?:m|cm|met(?:er|re)s?|centimet(?:er|re)s?|feet|foot|ft|yards?|miles?|kilomet(?:er|re)s?|steps|paces|inches)"
_NUMBER = r"(?:\d+(?:\.\d+)?|one|two|three|four|five|six|seven|eight|nine|ten|twenty|fifty|hundreds? of|a hundred)"
_PARTICLE_OF = (
    r"(?:speed|rev|slow|wind|start|warm|pick|build|wake|get|sit|stand|calm|break|power|shut|spin|turn|come|set|come"
    r"|crank|fire|make|roll|pull|fill|move|run|go|climb|heat|pour|fall|rain|beat|press|put|lay|drive|walk|die|lie)"
    r"(?:s|ed|ing|ning|ting)? "
)

_LEFT, _RIGHT, _FRONT, _BACK = "left", "right", "front", "back"
_ECHOING, _DAMPENED = "highly reverberant", "acoustically dampened"

# (attribute, the words that it fits, whether it says them, pattern); earlier ones hide later ones of their attribute.
_TABLE: tuple[tuple[str, tuple[str, ...], bool, str], ...] = (
    (
        "direction",
        (),
        False,
        r"(?:north|south|east|west)(?:-?(?:east|west))?(?:ern|ward|wards|erly)?\b",
    ),
    (
        "direction",
        (),
        False,
        r"o'? ?clock\b|\d+ ?(?:degrees?|°)|degrees? (?:to|off|left|right|azimuth)|azimuth\b",
    ),
    (
        "direction",
        (),
        False,
        r"(?:slightly|somewhat|a (?:bit|little)|partly|half) (?:to (?:the|your|my) )?(?:left|right|behind"
        r"|ahead)(?! (?:in|of the room|next|by|beside)\b)",
    ),
    (
        "direction",
        (),
        False,
        r"(?:all around|every side|all sides|either side|both sides|every direction|all directions|everywhere"
        r"|cent(?:er|re)\b|(?:in|from|at|on|near|by) (?:the|a|one|its) (?:corner|edge|wall|walls|doorway)\b"
        r"|middle\b|surround\w*|encircl\w*|clockwise)",
    ),
    *(
        # "on the left barks": the parser fears a noun there, a verb it is where something sounds
        (
            "direction",
            (word,),
            True,
            rf"(?:from|on|to|at) (?:the|my|your|our) {form}(?: side)?(?= \w+(?:[^s]s|ed|ing)\b)"
            rf"|(?:fill|occup)\w+ (?:the|my|your) {form} (?:side|half|part|corner)\b",
        )
        for word, form in ((_LEFT, "left"), (_RIGHT, "right"), (_FRONT, "front"), (_BACK, "(?:back|rear)"))
    ),
    (
        "direction",
        (_LEFT,),
        False,
        r"left\w*\b|port side\b",
    ),
    (
        "direction",
        (_RIGHT,),
        False,
        r"right(?! (?:next|beside|behind|in|ahead|above|below|by|there|here|up|at|before|after|over|under|away|now"
        r"|near|close|where|down|around)\b)\w*\b|starboard\b",
    ),
    (
        "direction",
        (_LEFT, _RIGHT),
        False,
        r"(?:the|one|to the|your|my) sides?\b(?! of (?:me|you))",
    ),
    (
        "direction",
        (_FRONT,),
        True,
        r"(?:facing|before|opposite) (?:me|you|us|the listener)\b|straight on\b|head-on\b|right before (?:me|you)\b"
        r"|(?<!go )(?<!goes )(?<!going )(?<!moves )(?<!drives )ahead\b(?! of\b)",
    ),
    (
        "direction",
        (_FRONT,),
        False,
        r"front\w*\b|ahead\b|forward\w*\b|facing\b|opposite\b",
    ),
    (
        "direction",
        (_BACK,),
        True,
        r"(?:to|at) (?:the|your|my) rear\b|over (?:your|my) shoulder\b|in back (?:of (?:me|you)\b|(?=,|\.?$))"
        r"|rearward\w*\b|behind where (?:i|you|the listener)\b",
    ),
    (
        "direction",
        (_BACK,),
        False,
        r"behind\b|(?<!and )(?<!forth )back(?! and forth)(?:ward\w*|side)?\b|rear\b",
    ),
    (
        "elevation",
        (),
        False,
        r"(?:ear|eye|head)[ -](?:level|height)\b|same (?:level|height)\b",
    ),
    (
        "elevation",
        ("up",),
        True,
        r"(?:high|higher)(?: up)?(?: (?:in|inside|above|over|on|to|near|at|within)\b|(?=,|\.?$))|(?:from|at"
        r"|in) a(?:n?) "
        r"(?:high|higher|raised|elevated) (?:position|spot|point|place|location|angle)\b|aloft\b|from (?:a"
        r"|some) (?:great "
        r"|considerable )?height\b|from up\b|up (?:to|on|at|in) (?:the|your|my)\b|(?:up|high) and to\b"
        r"|top[ -](?:left|right)\b|(?:from|at|near|towards?) the top (?:of (?:a|the) (?:\w+,? ){0,3}room\b|(?=,"
        r"|\.?$))|upper (?:area|region|section|reaches|corner|half"
        r"|side|left|right|part|end)\b",
    ),
    (
        "elevation",
        ("up",),
        False,
        r"above\b|overhead\b|upper\b|upward\w*\b|ceilings?\b|rafters\b|roof\b|sky\b|upstairs\b|attic\b|height\b"
        r"|elevated\b|elevation\b|top\b|raised\b|high up\b|up high\b|balcony\b|(?:from|way|somewhere|straight"
        r"|directly|higher) up\b(?! (?:close|front)\b)|over (?:me|you|us|the listener|(?:my|your|our"
        r"|the listener's) head)\b|on high\b",
    ),
    (
        "elevation",
        ("down",),
        True,
        r"(?:low|lower)(?: down)?(?: (?:in|inside|to|on|near|at|within)\b|(?=,|\.?$))|(?:from|at|in) a "
        r"(?:low|lower) (?:position|spot|point|place|location|angle)\b|underfoot\b|(?:at|near|by) (?:my|your"
        r"|the listener's) feet\b|from down\b|down (?:at|near|on|to|in) (?:the|your|my)\b|(?:down|low) and to\b"
        r"|bottom[ -](?:left|right)\b|(?:from|at|near|towards?) the bottom of (?:a|the) (?:\w+,? ){0,3}room\b"
        r"|lower (?:area|region|section|reaches|corner"
        r"|half|side|left|right|part|end)\b|from under(?:neath)? (?:me|you|us|the listener)\b",
    ),
    (
        "elevation",
        ("down",),
        False,
        r"below\b|beneath\b|underneath\b|lower\b|downward\w*\b|basements?\b|cellars?\b|downstairs\b|bottom\b"
        r"|underground\b|floor\b|ground\b|low (?:down|point)\b|under (?:me|you|us|the listener|(?:my|your"
        r"|our) (?:feet|seat))\b|down low\b|(?:from|way|somewhere|straight|directly|lower) down\b",
    ),
    (
        "distance",
        (),
        False,
        rf"{_NUMBER}(?: or so)?[ -]{_UNIT}\b(?! sounds?\b)",
    ),
    (
        "distance",
        (),
        False,
        r"(?:not (?:too |very |so |that )?(?:far|close|near)|neither (?:near|far|close))\b|(?:fairly|somewhat"
        r"|moderately|slightly|relatively) (?:near|nearby|close|far|distant)\b|(?:mid|middle|medium"
        r"|moderate)[ -](?:range|distance)\b",
    ),
    (
        "distance",
        ("near",),
        True,
        r"(?:at|from|in|within) (?:very )?(?:close|short|immediate|intimate|near)(?: \w+)? (?:range|distance"
        r"|proximity|quarters|vicinity|reach|hand)\b|a short (?:way|distance)|(?:close|near|next"
        r"|adjacent) to (?:(?:me|you|us|where)\b|(?:my|your|our|the listener)(?! (?:left"
        r"|right|front|back|rear)\b))|(?:beside|near|alongside|by) (?:me|you|us"
        r"|the (?:listener|microphone))\b|(?:close|near) at hand\b|within (?:easy |my |your )?(?:reach"
        r"|touching distance)\b|(?:by|next to|near|close to|in|at) (?:my|your|the listener's) (?:ear|ears|side"
        r"|elbow)\b|(?:just |mere |only )(?:inches|steps) (?:away|off|from)\b|a (?:step|pace|short (?:way"
        r"|walk)) (?:away|off)\b|close (?:beside|enough|in front)\b|close(?=,)|close[ -](?:up|by|in)\b"
        r"|up close\b|nearby\b"
        r"|(?:very|really|quite|so|extremely) (?:close|near)\b|just (?:steps|feet|inches) away|(?:close"
        r"|near) on (?:my|your|the)\b|close(?: (?:behind|ahead|above|below|overhead))\b|(?:a|the) (?:close"
        r"|near) (?:left|right|front|back|rear|side|end|corner|sound|source)\b",
    ),
    (
        "distance",
        ("near",),
        False,
        r"near\w*\b|close(?! the\b| its\b| a\b|d\b)(?:r|st|ly)?\b|proximity\b|next to\b(?! no\b)|beside\b|adjacent\b"
        r"|vicinity\b|arm's\b|within reach\b|at hand\b|foreground\b|by (?:my|your) side\b|intimate\b",
    ),
    (
        "distance",
        ("far",),
        True,
        r"(?:from|at|in|off in|into) (?:a|the|some)(?: \w+)? distance\b|far[ -]?(?:away|off)\b|(?:from )?afar\b"
        r"|distant(?:ly)?\b|(?:far|long|good) (?:way|distance) (?:off|away|from)|(?:opposite|other) (?:end|side|corner"
        r"|wall)\b|(?:far|remote|distant|furthest|farthest) (?:end|side|corner|wall|left|right"
        r"|back|front|rear|reaches|part)\b|far (?:behind|ahead|above|below|overhead|up|down|over|to|on|in"
        r"|inside|at)\b|way off\b|far from (?:here|me|you|us|where|behind|above|below"
        r"|(?:(?:the|my|your|our) )?(?:left|right|front|back|rear|listener\w*|microphone|mic|observer|hearer))\b"
        r"|well (?:off|away)\b|a (?:long|good) way (?:off|away|behind|ahead|above|below|beneath|from|to|up|down"
        r"|over|in front|overhead)\b|from across (?:the|a) (?:\w+,? ){0,3}(?:room|space|hall|chamber)\b|from far\b"
        r"|at range\b",
    ),
    (
        "distance",
        ("far",),
        False,
        r"far\b(?! (?:as|more|less|too)\b)|further\b|farther\b|distance\b|remote\w*\b|afar\b|background\b"
        r"|horizon\b|across the (?:room|hall|space)\b|(?:other|opposite) (?:end|side)\b|out of reach\b|off away\b"
        r"|(?<!near )end of (?:a|the|this)\b|(?:another|adjacent|adjoining|neighbou?ring|next"
        r"|different) room\b|next door\b",
    ),
    (
        "size",
        (),
        False,
        r"(?:medium|mid|average|moderate|normal|regular|standard"
        rf"|modest)(?:ly)?(?:[ -]\w*sized?)?{_OF_ROOM}|{_ROOM} of (?:medium|average|moderate|normal"
        r"|modest) size\b|(?:medium|mid|average|moderately)-?sized\b",
    ),
    (
        "size",
        (),
        False,
        rf"{_NUMBER}[ -]?(?:square|sq|m2|m²)",
    ),
    (
        "size",
        ("small",),
        True,
        r"(?:small|smaller|little|tiny|compact|cramped|confined|tight|snug|cosy|cozy|narrow|poky|miniature"
        r"|minuscule|petite|diminutive|pocket-sized|intimate|close-set|restricted"
        rf"|boxy)(?:-sized)?{_OF_ROOM}|{_ROOM} {_IS} (?:quite |very |rather )?(?:small|tiny|compact"
        rf"|cramped|little|tight|narrow)\b|{_ROOM} of (?:small|little|tiny|compact) (?:size|proportions"
        r"|dimensions)\b|small-?scale\b|small-sized\b",
    ),
    (
        "size",
        ("small",),
        False,
        r"closets?\b|booths?\b|cubicles?\b|cubby\w*\b|cupboards?\b|cramped\b|confined\b",
    ),
    (
        "size",
        ("large",),
        True,
        r"(?:large|larger|big|huge|spacious|vast|enormous|immense|massive|cavernous|expansive|sizeable|sizable"
        r"|gigantic|giant|grand|roomy|wide|wide-open|open|extensive|ample|great|airy"
        rf"|palatial)(?:-sized)?{_OF_ROOM}|{_ROOM} {_IS} (?:quite |very |rather )?(?:large|big|huge|vast"
        rf"|spacious|enormous)\b|{_ROOM} of (?:large|great|big|huge|vast|generous) (?:size|proportions"
        r"|dimensions)\b|(?:spacious|cavernous)\b|large-scale\b|large-sized\b|(?:vastness|expanse"
        r"|spaciousness) of\b",
    ),
    (
        "size",
        ("large",),
        False,
        r"halls?\b|auditoriums?\b|cathedrals?\b|warehouses?\b|hangars?\b|gymnasiums?\b|gyms?\b|arenas?\b"
        r"|stadiums?\b|ballrooms?\b|caverns?\b|church(?:es)?\b|theat(?:er|re)s?\b",
    ),
    (
        "reverberation",
        (),
        False,
        r"(?:slightly|somewhat|mildly|moderately|faintly|a (?:bit|little)|partly|fairly|slight|moderate|mild|some"
        rf"|light|subtle) (?:\w+ )?{_ECHO}\b|(?:slightly|somewhat|mildly|moderately|partly) (?:\w+ )?damp(?:ed"
        r"|ened)\b",
    ),
    (
        "reverberation",
        (_DAMPENED,),
        True,
        r"(?:no|little|hardly any|barely any|hardly an|barely an|barely|hardly|minimal|scarcely any|almost no"
        r"|next to no|without(?: any)?|free (?:of|from)|devoid of|lacks?|lacking(?: in)?|lack of|absence of"
        r"|absorb(?:s|ing)?"
        r"|zero|not much|few|kills?|swallow(?:s|ing)?|dampen(?:s|ing)|deaden(?:s|ing)|doesn't|does not|never"
        rf"|not)(?: \w+){{0,2}}? {_ECHO}\b|{_ECHO}[ -](?:free|less)\b|non-?{_ECHO}\b|echoless\b",
    ),
    (
        "reverberation",
        (_ECHOING,),
        True,
        rf"(?:highly |very |strongly |extremely |heavily )?{_ECHO}\b|(?:boomy\b|reverby\b|reflective\b"
        rf"|reflections?\b|bounc\w+ around\b)|(?:booming|live|lively|ringing"
        rf"|bouncy)(?:-\w+)?(?=,? (?:\w+,? )?{_ROOM}\b)|bounc\w+ off (?:the|its|all|every)(?: \w+)? (?:walls"
        r"|surfaces)\b",
    ),
    (
        "reverberation",
        (_DAMPENED,),
        True,
        r"(?:acoustically |heavily |strongly |well[ -]?|very )?(?:damped|dampened|deadened|deadening"
        r"|dampening|damping|sound-?proof\w*|sound-(?:dampen\w+|damp\w+)|anechoic|sound-?absorb\w*"
        r"|acoustically (?:treated|dry|dead|muffled|insulated"
        r"|absorbent))\b|(?:dry|dead|muffled|muted|padded|absorbent|insulated|dull|hushed|flat"
        rf"){_OF_ROOM}|{_ROOM} {_IS} (?:quite |very |rather )?(?:dry|dead|muffled|dampened"
        r"|damped)\b|absorbs? (?:the |its |most |all )?(?:sound|noise)|swallows? (?:the |its )?(?:sound|noise)",
    ),
    (
        "reverberation",
        (_DAMPENED,),
        False,
        r"damp\w*\b|muffled\b|muted\b|absorb\w*\b|padded\b|insulated\b|deaden\w*\b|dry acoustics?\b|acoustically\b",
    ),
)

_PATTERNS = tuple(
    (attribute, words, says, re.compile(rf"(?<![\w-])(?:{pattern})")) for attribute, words, says, pattern in _TABLE
)
_PARTICLE = re.compile(rf"\b{_PARTICLE_OF}\Z")
_ATTRIBUTE_OF = {
    **dict.fromkeys((_LEFT, _RIGHT, _FRONT, _BACK), "direction"),
    **dict.fromkeys(("up", "down"), "elevation"),
    **dict.fromkeys(("near", "far"), "distance"),
    **dict.fromkeys(("small", "large"), "size"),
    **dict.fromkeys((_ECHOING, _DAMPENED), "reverberation"),
}


@dataclass(frozen=True)
class PlaceCue:
    """Words that touch an attribute.

    Attributes:
        attribute: a key of `ATTRIBUTE_WORDS`.
        words: the words of the attribute that they fit; none where they say something that no word says (metres).
        says: whether they say the word; otherwise they only suggest it.
        denied: whether a negation stands before them in their clause.
        start: where they begin in the text of `parsing.plain`.
        end: where they end.
    """

    attribute: str
    words: tuple[str, ...]
    says: bool
    denied: bool
    start: int
    end: int


def find_cues(caption: str) -> list[PlaceCue]:
    """Every cue of a caption, the phrases that the parser believes among them, in the order of the text.

    Raises:
        TextError: The caption is no text.
    """
    text = plain(caption)
    found: list[PlaceCue] = [
        PlaceCue(_ATTRIBUTE_OF[phrase.word], (phrase.word,), True, phrase.denied, phrase.start, phrase.end)
        for phrase in find_phrases(text)
    ]
    for attribute, words, says, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span()
            # "slightly" takes back what "to the left" says: a cue that fits no word is never hidden
            hidden = bool(words) and any(
                cue.attribute == attribute and cue.start < end and start < cue.end for cue in found
            )
            if not hidden and not _PARTICLE.search(text, 0, start):
                found.append(PlaceCue(attribute, words, says, is_denied(text, start), start, end))
    return sorted(found, key=lambda cue: (cue.start, cue.end))
