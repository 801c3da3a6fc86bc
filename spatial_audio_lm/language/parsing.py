"""From words to attributes: what a caption or query says about place and room.

The reader knows every phrase that the templates write and the common ones beside them. It rather says nothing than too
much: "left" counts after a preposition or alone between commas, never as a verb or as a side of something else ("the
dog left", "left behind", "behind the house"); a negated phrase counts as not said; of two different answers to one
question ("left or right", "from left to right", "front left") it believes neither, and `words_said` has both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spatial_audio_lm.errors import TextError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes

_LISTENER = (
    r"(?:me|us|you|myself|yourself|(?:the|a) (?:listener|hearer|observer|microphone|mic|recorder|camera)"
    r"|where (?:i|we|you|the listener) (?:am|are|is|stand|stands|sit|sits))"
)
_WHOSE = r"(?:the|my|your|our|(?:the|a) listener's|one's)"
_ROOM = r"(?:room|space|hall|chamber|auditorium|enclosure|booth|studio|cubicle|closet|interior)"
_THIS_ROOM = rf"(?:the|an?|this) (?:[a-z-]+,? ){{0,4}}?{_ROOM}"
_STOP = r"(?= ?(?:$|[^ \w'-]))"  # end of the text, or punctuation
# What may follow "above" or "below" where nothing is named that it would be above or below of.
_GOES_ON = (
    rf"(?:{_STOP}|(?= (?:and(?! (?:above|below|beneath|under)\b)|but|in|inside|within|on|to|at|from|with|while"
    r"|near|nearby|close|far|is|can|comes?)\b))"
)
# What may follow "on the left" or "at the back". A noun may not: it would be the left or the back of that thing.
_FOLLOWER = (
    rf"(?:(?= of (?:{_LISTENER}|{_THIS_ROOM})\b)|{_STOP}|(?= (?:and|or|but|while|as|in|inside|on|at|from|to|within|with"
    r"|without|near|nearby|close|very|quite|right (?:next|beside|above|below)|next to|far|above|below|beneath|overhead"
    r"|underneath|under|up|down|high|low|behind|ahead|off|away|i|we|you|it|they|he|she|there|here|is|are|was|were|can"
    r"|could|comes?|came|reaches|a|an|the|some|something|someone|somebody|that|which|who|where|when|rather|instead|not"
    r"|too|please|only|just|indoors|outdoors|outside|somewhere)\b))"
)
# "behind the house" and "above it" are places of something else
_NO_THING = r"(?! (?:an?|the|his|hers?|him|them|its?|our|their|some|any|this|that|these|those|bars|\w+'s)\b)"
# "the near upper right": what the words of a place are strung together to
_CHAIN = r"(?:(?:very )?(?:far|near|close|distant|nearby|upper|lower|top|bottom)[ -]){0,3}"
_END = r"(?:left|right|front|back|rear|end|side|corner)"


def _side(name: str) -> str:
    part = r"(?: (?:side|corner|end|half|edge|ear|part|portion|area))?"
    side = rf"{_CHAIN}{name}(?:[ -]hand)?{part}"
    return rf"(?:from|on|to|at|in|over on|by|towards?) {_WHOSE} {side}{_FOLLOWER}|(?:from|to|far) {name}{_STOP}"


_PLACE_PATTERNS: dict[str, str] = {
    "left": rf"{_side('left')}|left of {_LISTENER}\b",
    "right": rf"{_side('right')}|right of {_LISTENER}\b",
    "front": rf"{_side('front')}|in front (?:of {_LISTENER}\b|(?!of\b))|in front{_STOP}"
    rf"|(?:straight|directly|right|dead|from|just) ahead\b|ahead of {_LISTENER}\b"
    rf"|(?:right|just|directly) before {_LISTENER}\b",
    "back": rf"{_side('(?:back|rear)')}|behind (?:{_LISTENER}|(?:my|your) (?:back|head))\b|at (?:my|your) back\b"
    rf"|(?<!left )(?<!leave )(?<!leaves )(?<!leaving )(?<!stay )(?<!stays )behind\b{_NO_THING}",
    "up": rf"(?:above|over) (?:{_LISTENER}|(?:my|your|our) heads?)\b|overhead\b|(?:up|from|high) above\b{_NO_THING}"
    rf"|(?:somewhere |directly |just |right )?above{_GOES_ON}|(?:high up|up high|higher up|high overhead)\b{_NO_THING}"
    rf"|from up\b(?! (?:close|front)\b)|from (?:on high|a height)\b"
    r"|(?:from|at|in) an elevated (?:position|spot|point|place)\b"
    rf"|{_WHOSE} {_CHAIN}(?:upper|top) {_CHAIN}(?:left|right|front|back|rear|part|portion)\b",
    "down": rf"(?:below|beneath|underneath|under) (?:{_LISTENER}|(?:my|your|our) feet)\b"
    rf"|(?:from|down) (?:below|beneath|underneath)\b{_NO_THING}|(?:below|underneath|beneath){_GOES_ON}"
    rf"|(?:low down|lower down|down low)\b|low to the ground\b|(?:from|at) (?:floor|ground) level\b|from down\b"
    rf"|{_WHOSE} {_CHAIN}(?:lower|bottom) {_CHAIN}(?:left|right|front|back|rear|part|portion)\b",
    "near": rf"(?:near|close|next|close by|near by) (?:to )?{_LISTENER}\b|beside {_LISTENER}\b|nearby\b{_NO_THING}"
    r"|near by\b|close by\b|(?:within|at) arm's (?:reach|length)\b|at (?:very )?close range\b|in close proximity\b"
    r"|(?:close|near) at hand\b|(?<!rev )(?<!pulls )(?<!pulling )(?<!shut )up close\b|(?:from|at) a close distance\b"
    r"|(?:just )?a few (?:steps|feet|paces) (?:away|off|from)\b"
    r"|from a (?:close|nearby|near) (?:spot|position|point|place)\b"
    r"|from (?:very )?near\b(?! (?:an?|the|my|your)\b)"
    rf"|from (?:up |very )?close{_STOP}|(?:very|quite|really) (?:close|near){_FOLLOWER}"
    rf"|(?:from|at) a short distance\b|a short (?:distance|way) (?:away|off)\b|\bclose (?:sound|noise)\b"
    rf"|{_WHOSE} {_CHAIN}(?:near|close|nearby) {_CHAIN}{_END}\b",
    "far": rf"far[ -]?away\b|far[ -]off\b|far from {_LISTENER}\b|from (?:very )?far\b(?! from\b)|afar\b|distant\b"
    r"|(?:from|at|in) (?:a|the) (?:great |long |large |far |considerable |good |fair )?distance\b"
    r"|(?:from|at) some distance\b|some (?:distance|way) (?:off|away)\b|a (?:long|good) (?:way|distance) (?:off|away)\b"
    rf"|far (?:off )?(?:to|on|over to|over on) {_WHOSE} (?:left|right|front|back|rear)\b"
    r"|far (?:behind|ahead|above|below|overhead|in front)\b"
    rf"|from a long way\b|(?:very|quite|really) far{_FOLLOWER}"
    rf"|{_WHOSE} {_CHAIN}(?:far|distant) {_CHAIN}{_END}\b",
}

# Sides of a thing or a person are none of the listener: "his left or right hand", "the front left tyre".
_OF_SOMETHING = (
    rf"(?! (?:of (?!{_LISTENER}|{_THIS_ROOM})|(?:hand|foot|feet|leg|arm|ear|paw|wheel|tyre|tire|door|seat|window"
    r"|speaker|channel|lane|turn|signal|indicator|blinker|key|pedal|button|click)s?\b))"
)
_EITHER = r" ?(?:\bor\b|/) ?(?:(?:maybe|perhaps|from|on|to|at|in|the|my|your) ){0,3}"
_TERMS = {
    "direction": {"left": "left", "right": "right", "front": "(?:in )?front|ahead", "back": "back|behind|rear"},
    "elevation": {"up": "up|above|overhead", "down": "down|below|beneath|underneath"},
    "distance": {"near": "near|nearby|close", "far": "far|distant"},
}
_ANY_TERM = {name: f"(?:{'|'.join(terms.values())})" for name, terms in _TERMS.items()}
# Two answers in one breath, of which no single phrase says both: "left or right siren", "passing from left to right".
_IN_ONE_BREATH = (
    *(rf"{term}(?: side| away| off)?{_EITHER}{term}" for term in _ANY_TERM.values()),
    r"(?:left|right) (?:and|to) (?:left|right)|(?:front|back|rear) to (?:front|back|rear)|near and far",
    r"(?:front|back|rear)[ -](?:left|right)|(?:left|right)[ -](?:front|back|rear)",
)
_TWO_ANSWERS = re.compile(rf"\b(?:{'|'.join(_IN_ONE_BREATH)})\b{_OF_SOMETHING}")
_TERM = re.compile(
    rf"\b(?:{'|'.join(f'(?P<{word}>{term})' for terms in _TERMS.values() for word, term in terms.items())})\b"
)

_ROOM_TAILS: dict[str, str] = {
    "highly reverberant": r"with (?:a lot of|lots of|much|strong|long|plenty of|heavy) (?:echo(?:es)?"
    r"|reverb(?:eration)?)\b|full of (?:echo(?:es)?|reverb(?:eration)?)\b",
    "acoustically dampened": r"with (?:hardly any|barely any|very little|little|almost no|no) (?:echo(?:es)?|reverb"
    r"(?:eration)?)\b|without (?:any )?(?:echo(?:es)?|reverb(?:eration)?)\b|with dry acoustics\b",
}

_ROOM_ADJECTIVES: dict[str, str] = {
    "small": r"(?:small|little|tiny|compact|cramped|confined|miniature|snug)(?:-sized)?",
    "large": r"(?:large|big|huge|spacious|vast|enormous|cavernous|immense|massive|expansive|sizeable|sizable)"
    r"(?:-sized)?",
    "highly reverberant": r"(?:(?:highly|very|strongly|extremely|quite|heavily|intensely|deeply) )?"
    r"(?:reverberant|echoing|echoey|reverberating|reverb-heavy|echo-filled|boomy)",
    "acoustically dampened": r"(?:(?:acoustically|heavily|strongly|very|well) )?(?:damped|dampened|deadened)"
    r"|anechoic|acoustically (?:dry|dead|muffled|treated)|sound-?proof(?:ed)?|sound-(?:absorbing|deadening|deadened)"
    r"|echo-?(?:free|less)",
}

_BARE: dict[str, str] = {
    **dict.fromkeys(("left", "left side", "left-hand side", "left hand side", "far left", "near left"), "left"),
    **dict.fromkeys(("right", "right side", "right-hand side", "right hand side", "far right", "near right"), "right"),
    **dict.fromkeys(("front", "in front", "ahead", "straight ahead"), "front"),
    **dict.fromkeys(("back", "behind", "rear"), "back"),
    **dict.fromkeys(("up", "above", "overhead"), "up"),
    **dict.fromkeys(("down", "below", "underneath"), "down"),
    **dict.fromkeys(("near", "close", "very near", "very close"), "near"),
    **dict.fromkeys(("far", "very far", "distant"), "far"),
}

_ADJECTIVE = "(?:" + "|".join(_ROOM_ADJECTIVES.values()) + ")"
_ADJECTIVE_LIST = rf"(?P<adjectives>{_ADJECTIVE}(?:(?:, and |, | and | or | ){_ADJECTIVE})*)"
_OTHER_ADJECTIVE = r"(?!(?:in|of|the|an?|from|and|on|at|to|with|is|are|can|or|by) )[a-z-]+ "
_ROOM_BEFORE = re.compile(rf"\b{_ADJECTIVE_LIST},? (?:{_OTHER_ADJECTIVE}){{0,2}}{_ROOM}\b")
_ROOM_AFTER = re.compile(rf"\b{_ROOM} (?:(?:that|which) )?(?:is|sounds|seems) {_ADJECTIVE_LIST}\b")
_SEGMENT_END = re.compile(r"[,;:.!?()\[\]/]| [-\u2013\u2014] |\bbut\b")
_NEGATION = re.compile(
    r"\b(?:not(?! (?:only|just)\b)|no|never|cannot|without|neither|nor|rather than|instead of|except|unlike|nothing"
    r"|nobody|hardly)\b|n't\b"
)
_PLACES = {word: re.compile(rf"\b(?:{pattern})") for word, pattern in _PLACE_PATTERNS.items()}
_TAILS = {word: re.compile(rf"\b(?:{pattern})") for word, pattern in _ROOM_TAILS.items()}
_ADJECTIVES = {word: re.compile(rf"\b(?:{pattern})\b") for word, pattern in _ROOM_ADJECTIVES.items()}


@dataclass(frozen=True)
class Phrase:
    """A phrase that says one word of an attribute; `start` and `end` count in the text of `plain`."""

    word: str
    start: int
    end: int
    denied: bool


def plain(caption: str) -> str:
    """The caption as it is read: in lower case, with single spaces and straight apostrophes.

    Raises:
        TextError: The caption is no text.
    """
    if not isinstance(caption, str):
        raise TextError(f"the caption is a {type(caption).__name__}; expected a text")
    return " ".join(caption.lower().replace("\u2019", "'").split())


def find_phrases(caption: str) -> list[Phrase]:
    """Every phrase of a caption that says something about place or room, the denied and contradicting ones too.

    Args:
        caption: English text of one sound; several sentences are read as one.

    Returns:
        The phrases in no particular order; one place in the text can give several ("the far left" gives two).

    Raises:
        TextError: The caption is no text.
    """
    text = plain(caption)
    found: list[Phrase] = []

    def add(word: str, start: int, end: int) -> None:
        found.append(Phrase(word, start, end, is_denied(text, start)))

    # The tails go first and are blanked: the "no" of "with no echo" denies nothing of what follows.
    for word, pattern in _TAILS.items():
        for match in pattern.finditer(text):
            add(word, *match.span())
        text = pattern.sub(lambda match: "_" * len(match[0]), text)
    for word, pattern in _PLACES.items():
        for match in pattern.finditer(text):
            add(word, *match.span())
    for match in _TWO_ANSWERS.finditer(text):
        for term in _TERM.finditer(match[0]):
            add(str(term.lastgroup), match.start(), match.end())
    for room in (_ROOM_BEFORE, _ROOM_AFTER):
        for match in room.finditer(text):
            for word, pattern in _ADJECTIVES.items():
                if adjective := pattern.search(match["adjectives"]):
                    begin = match.start("adjectives")
                    add(word, begin + adjective.start(), begin + adjective.end())
    begin = 0
    for boundary in [*_SEGMENT_END.finditer(text), None]:
        end = boundary.start() if boundary else len(text)
        segment = text[begin:end]
        bare, start = segment.strip(), begin + len(segment) - len(segment.lstrip())
        begin = boundary.end() if boundary else len(text)
        if bare in _BARE:
            add(_BARE[bare], start, start + len(bare))
        for word in ATTRIBUTE_WORDS["reverberation"]:
            if _ADJECTIVES[word].fullmatch(bare):
                add(word, start, start + len(bare))
    return found


def parse_attributes(caption: str) -> SpatialAttributes:
    """Read what a caption says about place and room.

    Args:
        caption: English text of one sound; several sentences are read as one.

    Returns:
        The attributes said without negation or contradiction, all others None.

    Raises:
        TextError: The caption is no text.
    """
    said = words_said(caption)
    return SpatialAttributes(**{name: next(iter(words)) for name, words in said.items() if len(words) == 1})


def words_said(caption: str) -> dict[str, frozenset[str]]:
    """The words that a caption says of each attribute without denying them; two where it contradicts itself.

    Args:
        caption: English text of one sound; several sentences are read as one.

    Returns:
        By attribute; those of which nothing is said are left out.

    Raises:
        TextError: The caption is no text.
    """
    found = {phrase.word for phrase in find_phrases(caption) if not phrase.denied}
    said = {name: found.intersection(words) for name, words in ATTRIBUTE_WORDS.items()}
    return {name: frozenset(words) for name, words in said.items() if words}


def is_denied(text: str, position: int) -> bool:
    """Whether a negation stands before this place in the same clause."""
    begin = 0
    for boundary in _SEGMENT_END.finditer(text, 0, position):
        begin = boundary.end()
    return _NEGATION.search(text, begin, position) is not None
