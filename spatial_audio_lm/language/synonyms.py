"""Words that captions of sounds use for one another: "speaks" and "talks", "automobile" and "car".

Our own list, made of the words that people describe recordings with. A group holds words that may stand for each other
without telling of another sound; kinds of a thing are apart from the thing ("dog", "animal"), so that a car does not
become a lorry. A word may be in several groups, and one word may stand for two ("birdsong": a bird, singing).
"""

from __future__ import annotations

import re
from functools import lru_cache

from spatial_audio_lm.language.word_forms import stems

_GROUPS = """
chat chatter chitchat; two twice double; three thrice triple; give deliver make
speak talk say speech voice converse conversation chat discuss discussion communicate communication utter vocal
speak talk speaker lecture address remark narrate narrator monologue announce announcement announcer presentation
speak talk converse conversation dialogue dialog chatter murmur babble; murmur mutter mumble
people person crowd group individuals folk folks; person someone somebody individual human people one
crowd audience spectators throng group gathering; man male guy gentleman men
woman female lady women; boy lad male; girl lass female; child kid youngster children toddler
baby infant newborn toddler; adult grown grownup; young youthful; old elderly older; laugh laughter giggle chuckle
giggle snicker chortle; cry sob weep bawl wail whimper; scream shriek screech yell; shout yell holler scream call
whisper hush; cheer applaud applause clap ovation; clap handclap hand; applause ovation cheering
sing song vocal singing chant melody sung vocalist voice; chant recite; music musical melody tune song
play perform performance playing; instrument instrumental; sneeze sternutation; cough hack
breath breathe breathing inhale exhale respiration pant; pant gasp; snore snoring; burp belch; hiccup hiccough
sniff sniffle snuffle; kiss smooch; chew munch crunch eat; swallow gulp; whistle whistling tweet
step footstep footfall walk tread pace stride; walk stroll march step; run jog sprint
run operate function work idle go; dog canine hound pup puppy pooch; puppy pup; bark barking woof yap bay
bark bay woof yelp yip; howl wail bay; growl snarl; whine whimper; cat feline kitty kitten; meow mew miaow caterwaul
purr purring; bird avian songbird birdsong birds; birdsong song sing chirp
chirp tweet twitter chirrup cheep peep sing warble trill call; pigeon dove; coo cooing; crow raven; crow caw
caw squawk cawing; squawk screech; rooster cockerel cock; crow cockadoodledoo; hen chicken fowl; cluck clucking
duck mallard; quack quacking; goose geese; honk honking beep toot blare sound; horn honk; seagull gull; owl hoot
hoot hooting toot; frog toad; croak ribbit; insect bug; cricket insect; buzz hum drone buzzing
hum drone humming thrum; bee bumblebee; chirp stridulate; sheep lamb ewe; goat kid; bleat baa bleating
cow cattle bull; moo low; pig hog swine piglet; oink grunt; snort grunt; horse pony mare steed; neigh whinny nicker
gallop canter trot hoof hooves clop; clop clip hoofbeat; hiss hissing sizzle; sizzle fry frying
animal creature beast critter; vehicle automobile motorcar; car automobile auto motorcar; truck lorry
motorcycle motorbike bike; bicycle bike cycle; bus coach; train locomotive railway railroad
railway railroad rail track; rail track; subway underground metro; airplane aeroplane plane aircraft jet airliner
helicopter chopper; boat vessel ship watercraft; motorboat speedboat boat
ship vessel; traffic vehicles cars; road street roadway highway; highway motorway freeway; engine motor; rev race
accelerate speed; speed accelerate velocity fast; decelerate slow; idle idling; drive driving; pass passing by goes
pass go move drive; move travel go; ride riding; race racing speed; brake braking; skid slide; tire tyre wheel
squeal screech squeak; squeak creak; creak squeak groan; siren alarm; alarm alert; ambulance emergency; police cop
bell chime toll; ring chime toll peal; ding ping chime; chime jingle; jingle tinkle; clock timepiece
tick ticking tock ticktock ticktocking; telephone phone; ring ringing ringtone; dial dialing
beep bleep blip beeping; click clicking tick snap; clack clatter click; clatter rattle clank; clank clang clink
clink tinkle; clang bang; bang slam thud; bang boom blast; knock rap tap; tap patter; tap rap
pound hammer beat bang; hammer pound; thump thud; thump pound beat; thud bump; rattle clatter shake; shake rattle
rumble roar thunder; roar rumble; thunder thunderclap thunderstorm; storm thunderstorm rainstorm tempest
lightning thunder; rain rainfall raindrop rainstorm downpour shower drizzle; pour downpour; pour fill flow
drip drop dripping trickle; drip fall; blow sound honk toot ring blare; drop droplet; drop fall; water liquid
water aquatic; stream creek brook; river stream
flow stream run rush; rush gush flow surge; splash slosh splatter; lap slosh splash; gurgle burble bubble
bubble boil gurgle; trickle dribble; wave surf breaker; sea ocean; beach shore seashore; crash break smash
crash collide collision; wind breeze gust; blow gust; gust blast; fire flame blaze campfire; crackle crackling pop
burn burning; faucet tap spigot; sink basin; toilet lavatory loo; flush flushing; shower bath; tub bath bathtub
drain draining; spray squirt spritz; hose spray; steam vapor vapour; kettle pot; pan skillet
dish dishes plate crockery; cutlery silverware utensil; glass glassware; cup mug; bottle flask; can tin
container vessel; metal metallic steel iron; metallic metal; wood wooden timber; plastic vinyl
paper papers page sheet; page leaf; turn flip leaf; crumple crinkle scrunch; crinkle rustle crumple
rustle rustling swish; leaf foliage; grass lawn; bag sack; box carton; wrap wrapping; rub scrub
scrape scratch grate; scrape rasp; scratch scrape; grind crush; saw cut; cut chop slice; chop slice cut
drill drilling bore; sand sanding; file filing rasp; tool implement device
machine machinery device equipment apparatus; machinery machine; mechanical machine mechanism; device gadget
electronic electric electrical; typewriter type; type typing keystroke; keyboard keys; key keys; computer pc
printer print; camera shutter; vacuum hoover; sewing sew stitch; mower lawnmower; lawnmower mower lawn
chainsaw saw chain; fan ventilator; blade blades; propeller rotor; whir whirr whirring; whir hum
whoosh swoosh swish; zoom whoosh; gun firearm rifle pistol; gunshot shot gunfire gun shoot fire; shoot fire
explosion explode blast boom; firework fireworks; burst explode; pop burst; television tv telly; radio wireless
static interference; loudspeaker speaker; speaker loudspeaker; microphone mic; intercom loudspeaker; door doorway
close shut; slam shut close; shut close; open opening; lock latch; drawer cupboard; cupboard cabinet; squeaky squeak
hinge door; gate door; floor ground flooring; gravel pebble stone; rock stone; snow slush; road pavement
pavement sidewalk; stair staircase step; toy plaything; ball basketball; bounce bouncing; drum percussion
guitar strum; strum pluck; piano keyboard; violin fiddle; bagpipe pipe; tune melody; rhythm beat; kid child
hit strike smack bang beat; strike hit; contact hit touch; object item thing; thing object item; stuff thing
surface top; small little tiny; large big huge; vibrate vibration buzz; vibration vibrate; squish squelch
squelch squish; stir mix; sweep brush; brush sweep; wipe rub; flap flutter wing; wing flap flutter; swarm many
flock group; herd group; pack group; team group; rotate spin turn; spin rotate whirl; swing sway
begin start commence; stop halt cease; rise increase; fade diminish dwindle; restaurant cafe diner; city urban town
jungle rainforest; forest wood woods woodland; countryside rural; night nighttime evening; day daytime; quack honk
release let; vocalize vocalise vocalization; foreign language; response respond reply; respond reply answer
ask question; call calling; warn warning; game play; sport game
"""

_MEMBERSHIP: dict[str, set[int]] = {}
for _number, _line in enumerate(re.split(r"[;\n]", _GROUPS)):
    for _word in _line.split():
        _MEMBERSHIP.setdefault(_word, set()).add(_number)


@lru_cache(maxsize=65536)
def _groups_of(word: str) -> frozenset[int]:
    return frozenset(number for stem in stems(word) for number in _MEMBERSHIP.get(stem, ()))


def same_meaning(first: str, second: str) -> bool:
    """Whether one of two words in lower case may stand for the other: forms of one word, or words of one group."""
    return bool(stems(first) & stems(second)) or bool(_groups_of(first) & _groups_of(second))
