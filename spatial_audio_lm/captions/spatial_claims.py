"""Whether a text says the given attributes of place and room, of the whole sound, and no others.

Where the sound caption speaks of a place itself ("a car passes in the distance", "birds chirp nearby and a man
speaks"), the text may keep that, in the same or in other words, and it is no invention. Nor is it taken for the given
attribute, with two exceptions in which the caption says just that: it has a single part, so that its place is that of
all that sounds; or it is the room that is spoken of, which all sounds share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.rejections import Rejection
from spatial_audio_lm.captions.sound_parts import SoundPart, Word, naming_words, parts_of_word, said_words, sound_parts
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS
from spatial_audio_lm.language.parsing import parse_attributes, plain
from spatial_audio_lm.language.place_cues import PlaceCue, find_cues
from spatial_audio_lm.language.synonyms import same_meaning

_ROOM_ATTRIBUTES = ("size", "reverberation")
_LISTENER = re.compile(r"\b(?:you|your|me|my|us|our|listener\w*)\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Reading:
    """A text read beside the caption that it was made of."""

    text: str
    cues: list[PlaceCue]
    named: list[Word]
    parts: list[SoundPart]

    def before(self, cue: PlaceCue) -> list[Word]:
        return [word for word in self.named if word.end <= cue.start]

    def after(self, cue: PlaceCue) -> list[Word]:
        return [word for word in self.named if word.start >= cue.end]

    def parts_of(self, named: list[Word]) -> set[int]:
        """The parts of the sound caption that words are of; a word of several parts tells nothing."""
        homes = [parts_of_word(word.text, self.parts) for word in named]
        return set().union(*(home for home in homes if len(home) == 1))

    def fronted(self, cue: PlaceCue) -> bool:
        """Whether it opens the sentence and a comma closes it off: "near the listener, birds chirp"."""
        after = self.after(cue)
        return not self.before(cue) and bool(after) and "," in self.text[cue.end : after[0].start]

    def adjective(self, cue: PlaceCue) -> bool:
        """Whether it is a word of the noun behind it: "a distant dog"; not "the distant sound of a dog"."""
        after = self.after(cue)
        between = self.text[cue.end : after[0].start].split() if after else ["end"]
        return not between and " " not in self.text[cue.start : cue.end]


def claim_rejections(text: str, facts: CaptionFacts, cues: list[PlaceCue]) -> list[Rejection]:
    """Which attributes are missing, wrong, invented, or said of a part of the sounds.

    Args:
        text: the rewritten caption.
        facts: what it has to say.
        cues: the place cues of the text.

    Returns:
        Rejections, none for a text that says just what is given.
    """
    parts = sound_parts(facts.caption)
    reading = _Reading(plain(text), cues, naming_words(text, cues), parts)
    kept = _kept(reading, facts.caption)
    own = parse_attributes(facts.caption)
    found: list[Rejection] = []
    stated: list[PlaceCue] = []
    for name in ATTRIBUTE_WORDS:
        given = getattr(facts.attributes, name)
        new = [cue for cue in cues if cue.attribute == name and cue not in kept]
        says = [cue for cue in new if _says(cue, given)]
        if not says and (len(parts) < 2 or name in _ROOM_ATTRIBUTES):
            says = [cue for cue in kept if cue.attribute == name and _says(cue, given)] if getattr(own, name) else []
        # "a small hall" is small, whatever halls are; but "the dog left" stays suspicious beside "on the right"
        others = [cue for cue in new if given not in cue.words and not (name == "size" and says and not cue.says)]
        if others:
            quote = repr(reading.text[others[0].start : others[0].end])
            reason = "attribute wrong" if given else "attribute invented"
            found.append(Rejection(reason, name, f"{quote} where {given or 'nothing'} is given"))
        elif given and not says:
            denied = any(cue.denied and given in cue.words for cue in new)
            found.append(Rejection("attribute missing", name, f"{given} is {'denied' if denied else 'not said'}"))
        if name not in _ROOM_ATTRIBUTES:
            stated += [cue for cue in says if cue not in kept]
    moved = _moved(reading, stated)
    if moved:
        quote = repr(reading.text[moved.start : moved.end])
        found.append(Rejection("attribute moved", moved.attribute, f"{quote} is said of one of several sounds"))
    return found


def _says(cue: PlaceCue, given: str | None) -> bool:
    return cue.says and not cue.denied and cue.words == (given,)


def _kept(reading: _Reading, caption: str) -> list[PlaceCue]:
    """The cues of a text that the sound caption has itself, of the same sound; each of its own stands for one."""
    own, source = find_cues(caption), plain(caption)
    kept: list[PlaceCue] = []
    for literally in (True, False):  # what is repeated word for word comes first
        for cue in reading.cues:
            quote = reading.text[cue.start : cue.end]
            to_listener = bool(_LISTENER.search(quote)) and not _LISTENER.search(source)
            if cue in kept or to_listener:
                continue
            for mine in own:
                if mine.attribute != cue.attribute or mine.words != cue.words:
                    continue
                repeated = source[mine.start : mine.end] == quote
                if cue.says and len(reading.parts) > 1:  # "the distant sound of rain and distant thunder": the second
                    repeated = repeated and bool(_beside(reading.text, cue) & _beside(source, mine))
                # "a roof" stays a roof wherever it is named; "nearby" of another sound is another fact
                same = (repeated and not cue.says) or _of_same_sound(reading, cue, mine)
                if same and (repeated if literally else cue.says and mine.says):
                    own.remove(mine)
                    kept.append(cue)
                    break
    return kept


def _beside(text: str, cue: PlaceCue) -> set[tuple[int, str]]:
    """The words on both sides of a cue, each with its side."""
    before, after = text[: cue.start].split(), text[cue.end :].split()
    return {(side, word.strip(",.;")) for side, word in ((-1, (before or ["^"])[-1]), (1, (after or ["$"])[0]))}


def _of_same_sound(reading: _Reading, cue: PlaceCue, mine: PlaceCue) -> bool:
    if len(reading.parts) < 2 or cue.attribute in _ROOM_ATTRIBUTES:
        return True
    home = [part for part in reading.parts if part.start <= mine.start < part.end]
    home = home or [part for part in reading.parts if part.end <= mine.start][-1:] or reading.parts[:1]
    opens = bool(home) and all(word.start > mine.start for word in home[0].words)
    if reading.fronted(cue):
        return opens and home[0] is reading.parts[0]
    before, after = reading.before(cue), reading.after(cue)
    near = after[:1] if reading.adjective(cue) or not before else before[-1:]
    if opens:  # "a car, nearby a group of people": a place that opens its part may be that of the part before
        home += [part for part in reading.parts if part.end < home[0].start][-1:]
    return any(same_meaning(word.text, own.text) for word in near for part in home for own in part.words)


def _moved(reading: _Reading, stated: list[PlaceCue]) -> PlaceCue | None:
    """The first place that is said of a part of the sounds only, where there are several."""
    several = [number for number, part in enumerate(reading.parts) if part.own_subject]
    if len(several) < 2:
        return None
    for cue in stated:
        before, after = reading.parts_of(reading.before(cue)), reading.parts_of(reading.after(cue))
        if before and (after - before) & set(several):
            return cue
        if not before and reading.adjective(cue):
            return cue
    front = [cue for cue in stated if reading.fronted(cue)]
    for cue in stated:
        if front and not reading.after(cue) and _touches(reading, cue):
            return cue
    return None


def _touches(reading: _Reading, cue: PlaceCue) -> bool:
    """Whether a place at the end follows directly upon a word that names a sound: "birds chirp nearby"."""
    before = [word for word in said_words(reading.text) if word.end <= cue.start]
    end_of_named = reading.before(cue)[-1:]
    return bool(before) and before[-1:] == end_of_named and "," not in reading.text[before[-1].end : cue.start]
