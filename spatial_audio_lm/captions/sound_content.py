"""Whether a text names the sounds of a caption and no others.

Every word of the text has to be accounted for: it stands in the caption, in another form or as a synonym
(`language.synonyms`), or it says a place, or it is a word that any caption is told with. What is left over is invented.
There is no list of things that sound, so that a thing nobody thought of is invented too.
"""

from __future__ import annotations

import itertools
import re

from spatial_audio_lm.captions.rejections import Rejection
from spatial_audio_lm.captions.sound_parts import is_manner, naming_words, said_words, sound_parts
from spatial_audio_lm.language.parsing import plain
from spatial_audio_lm.language.place_cues import PlaceCue
from spatial_audio_lm.language.synonyms import same_meaning
from spatial_audio_lm.language.word_forms import stems

_OPPOSITES = tuple(
    (frozenset(first.split()), frozenset(second.split()))
    for first, second in (
        ("loud", "quiet soft faint"),
        ("fast quick rapid", "slow"),
        ("high shrill", "low deep"),
        ("continuous constant steady continual", "intermittent occasional sporadic"),
        ("heavy", "light gentle"),
        ("start begin", "stop end finish cease"),
        ("single lone", "several multiple many numerous various"),
        ("rough harsh", "smooth"),
        ("sudden abrupt", "gradual"),
        ("brief short", "long"),
    )
)
_NEGATION = re.compile(
    r"\b(?:not(?! (?:only|just)\b)|no|never|cannot|without|neither|nor|nobody|nothing|absent)\b|n't\b"
)

_ENDING = frozenset(("stop", "cease", "quit", "halt"))
_ENDED = _ENDING | {"end", "finish"}


def content_rejections(
    text: str, caption: str, cues: list[PlaceCue], min_recall: float, min_part_recall: float, added_manner: int
) -> list[Rejection]:
    """What of the sounds is lost, invented or denied.

    Args:
        text: the rewritten caption.
        caption: the sound caption that it was made of.
        cues: the place cues of the text.
        min_recall: share of the caption's naming words that have to be in the text; words of manner do not count.
        min_part_recall: the same for each part of the caption ("while birds chirp").
        added_manner: how many words of manner may be added ("softly"); none that says the opposite.

    Returns:
        Rejections, none for a text that names the same sounds.
    """
    found: list[Rejection] = []
    said, own = [word.text for word in said_words(text)], [word.text for word in said_words(caption)]
    parts = sound_parts(caption)
    needed = [[word.text for word in part.words if not is_manner(word.text)] for part in parts]
    flat = list(dict.fromkeys(itertools.chain(*needed)))
    lost = {word for word in flat if not any(same_meaning(word, other) for other in said)}
    empty_part = any(sum(word not in lost for word in part) < min_part_recall * len(part) for part in needed)
    # the first word of a part is what sounds, or what it is
    subjects = {part[0] for part, whole in zip(needed, parts, strict=True) if whole.own_subject}
    if flat and (subjects & lost or empty_part or len(lost) > (1 - min_recall) * len(flat)):
        found.append(Rejection("sound lost", None, f"not in the text: {', '.join(w for w in flat if w in lost)}"))

    new = [
        word.text for word in naming_words(text, cues) if not any(same_meaning(word.text, other) for other in own)
    ]  # fmt: skip
    opposites = [word for word in new if _opposite(word, own, said)]
    manner = [word for word in new if is_manner(word)]
    invented = [word for word in new if not is_manner(word)] + opposites
    invented += [
        word for word in manner if re.search(rf"\b{word},? (?:[a-z-]+,? )?(?:room|space|hall|chamber)\b", plain(text))
    ]
    if len(manner) > added_manner:
        invented += manner
    if invented:
        found.append(Rejection("sound invented", None, f"not in the caption: {', '.join(dict.fromkeys(invented))}"))

    spans = [(cue.start, cue.end) for cue in cues]
    denials = [
        match[0] for match in _NEGATION.finditer(plain(text)) if not any(a <= match.start() < b for a, b in spans)
    ]  # fmt: skip
    if len(denials) > len(_NEGATION.findall(caption.lower())):
        found.append(Rejection("denied", None, f"denied by {denials[-1]!r}"))
    elif (ending := [word for word in said if stems(word) & _ENDING]) and not _any_of(own, _ENDED):
        found.append(Rejection("denied", None, f"what {ending[0]!r} is heard no more"))
    return found


def own_denials_blanked(text: str, caption: str) -> str:
    """The text without the negations that the caption has itself: "without stopping" denies no place behind it."""
    for match in _NEGATION.finditer(caption.lower()):
        if denied := re.match(r" \w+", caption.lower()[match.end() :]):
            own = rf"{re.escape(match[0])} ({re.escape(denied[0].strip())})\b"
            text = re.sub(own, r"\1", text, count=1, flags=re.IGNORECASE)
    return text


def _opposite(word: str, own: list[str], said: list[str]) -> bool:
    for pair in _OPPOSITES:
        for here, there in (pair, pair[::-1]):
            if stems(word) & here and _any_of(own, there) and not _any_of(said, there):
                return True
    return False


def _any_of(said: list[str], meanings: frozenset[str]) -> bool:
    return any(stems(word) & meanings for word in said)
