"""What a language model is asked: to say one sound caption again, with its place and room.

Two prompts. "elsa" has the form of the paper's: the caption and the words of its attributes in one sentence, and the
request to rephrase it. "structured" gives the facts as JSON and wants JSON back: first the facts as the model
understood them, then the caption; what it wrote into a slot is compared with what was given.

Source:
    ELSA (arXiv 2409.11369), section 3.2: the form of the sentence with its slots. The wording of the request and the
    whole of the structured prompt are this toolkit's own.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from spatial_audio_lm.captions.chat_formats import ChatFormat, chat_format, require_no_marker
from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes

PROMPTS = ("elsa", "structured")

_REQUEST = (
    "Put this into one short English sentence that describes the sound and leaves out nothing that is said about where "
    "it comes from. Answer with the sentence only."
)
_STRUCTURED_REQUEST = (
    "You rewrite captions of sounds. You are given a caption, and facts about where the sound is and about the room; a "
    "fact that is null is not known. Answer with one JSON object. It repeats the facts under their names, and then has "
    'under "caption" one short English sentence that says what the caption says and each fact that is known. It says '
    "nothing else about the place or the room, and adds no other sound."
)

SLOTS_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        # A grammar made of this forces the keys in this order: a model that has written the facts has them before it
        # when it writes the sentence. The caption has no maxLength, which a grammar would unfold letter by letter.
        "properties": {
            **{name: {"enum": [*words, None]} for name, words in ATTRIBUTE_WORDS.items()},
            "caption": {"type": "string"},
        },
        "required": [*ATTRIBUTE_WORDS, "caption"],
        "additionalProperties": False,
    }
)
"""The JSON that the structured prompt asks for: a word or null for each attribute, then the caption."""


@dataclass(frozen=True)
class Prompt:
    """A text to be continued.

    Attributes:
        text: with all markers of its chat format.
        stop: texts that end the answer, not part of it.
        schema: JSON schema of the answer; None for free text.
    """

    text: str
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None


class PromptWriter:
    """Writes the prompt of one kind for models of one chat format.

    Args:
        kind: "elsa" or "structured".
        format: name of the chat format, see `chat_formats.CHAT_FORMATS`.

    Raises:
        ConfigError: there is no such kind or format; the nearest is named.
    """

    def __init__(self, kind: str, format: str):
        if kind not in PROMPTS:
            near = difflib.get_close_matches(kind, PROMPTS, n=1, cutoff=0.0)[0]
            raise ConfigError(f"no prompt {kind!r}: did you mean {near!r}? known are {', '.join(PROMPTS)}")
        self.kind = kind
        self._format: ChatFormat = chat_format(format)

    def __call__(self, facts: CaptionFacts) -> Prompt:
        """The prompt for one caption.

        Raises:
            TextError: the caption holds a marker of a chat format.
        """
        require_no_marker(facts.caption, f"the caption {facts.caption[:60]!r}")
        if self.kind == "elsa":
            text = self._format.render(f"{elsa_sentence(facts)} {_REQUEST}")
            # One paragraph is wanted; a model without turns would go on after it.
            return Prompt(text, self._format.stop or ("\n\n",))
        given = json.dumps(asdict(facts.attributes), ensure_ascii=False)
        asked = f"Caption: {_one_line(facts.caption)}\nFacts: {given}"
        return Prompt(self._format.render(asked, _STRUCTURED_REQUEST), self._format.stop, SLOTS_SCHEMA)


def elsa_sentence(facts: CaptionFacts) -> str:
    """The caption in ELSA's form: "is coming from the <distance> <elevation> <direction> of a <size> <reverb> room".

    Slots without a word are left out, and with all slots of the place or of the room their part of the sentence.
    """
    said = facts.attributes
    caption = _one_line(facts.caption).rstrip(".")
    place, room = _words(said.distance, said.elevation, said.direction), _words(said.size, said.reverberation)
    if said == SpatialAttributes():
        return f"The sound: {caption}."
    article = "an" if room.startswith("acoustically") else "a"
    where = f"{article} {room} room" if room else "a room"
    return f"The sound: {caption} is coming from {f'the {place} of {where}' if place else where}."


def _words(*words: str | None) -> str:
    return " ".join(word for word in words if word)


def _one_line(text: str) -> str:
    return " ".join(text.split())
