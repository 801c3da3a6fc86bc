"""The caption in what a language model answered: without quotes, thoughts, and "Sure, here is your sentence:"."""

import json
import re
from dataclasses import dataclass
from typing import Any

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS

_THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.IGNORECASE | re.DOTALL)  # an unclosed thought has no answer
_FENCE = re.compile(r"```\w*")
# "Sure! Here is the sentence:", "Rewritten caption:", "Here's a short English sentence:"
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok|absolutely)\b[^\w\n]*)?"
    r"(?:(?:here(?:'s| is| are|’s| it is| you go)|this is)\b[^:\n]{0,80}:"
    r"|(?:the |my |a |your )?(?:(?:re-?written|rephrased|spatial|short|new|english|revised|one)[ -]?)*"
    r"(?:caption|sentence|version|answer|rephrasing|description|output)s?(?: is)?:)\s*",
    re.IGNORECASE,
)
_ASSENT = re.compile(r"^(?:sure|certainly|of course|okay|ok|absolutely)\b(?: thing)?[!.,:]*\s*(?=\n|\Z)", re.IGNORECASE)
_QUOTES = (("“", "”"), ("‘", "’"), ("«", "»"), ('"', '"'), ("'", "'"), ("`", "`"), ("**", "**"), ("*", "*"))


@dataclass(frozen=True)
class Problem:
    """Why an answer is not taken: as a verifier's rejection, and beside those for what is no sentence at all.

    Attributes:
        reason: in one word, to be counted.
        attribute: the attribute it is about; None where it is about none.
        detail: in words.
    """

    reason: str
    attribute: str | None = None
    detail: str = ""


def clean_sentence(text: str) -> str:
    """The first paragraph of an answer, without what models put before and around it; empty where nothing is left."""
    text = _FENCE.sub("\n", _THOUGHTS.sub("", text)).strip()
    text = _ASSENT.sub("", text).lstrip()
    text = _PREAMBLE.sub("", text).lstrip()
    # One line: what stands below is a remark, or another try.
    line = " ".join(text.split("\n", 1)[0].split())
    return _without_quotes(re.sub(r"^(?:[-•]|\d+[.)])\s+", "", line))


def read_sentence(text: str) -> tuple[str, list[Problem]]:
    """The caption in an answer of free text, and what is wrong with the answer."""
    sentence = clean_sentence(text)
    return sentence, [] if sentence else [Problem("empty", detail="the answer has no sentence")]


def read_slots(text: str, facts: CaptionFacts) -> tuple[str, list[Problem]]:
    """The caption in an answer of JSON, and what is wrong with the answer: no JSON, or slots that say other facts.

    Args:
        text: the model's answer.
        facts: that it was given.
    """
    found = _json_object(_THOUGHTS.sub("", text))
    if found is None or not isinstance(found.get("caption"), str):
        return "", [Problem("not JSON", detail="the answer is no JSON object with a caption")]
    problems = []
    for name in ATTRIBUTE_WORDS:
        said, given = found.get(name), getattr(facts.attributes, name)
        if said != given:
            problems.append(Problem("slot wrong", name, f"the slot says {repr(said)[:40]}, given was {given!r}"))
    sentence, empty = read_sentence(found["caption"])
    return sentence, problems + empty


def _json_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text: models without a grammar put words around it."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _without_quotes(line: str) -> str:
    for opening, closing in _QUOTES:
        inner = line[len(opening) : -len(closing)]
        whole = len(line) > len(opening) + len(closing) and line.startswith(opening) and line.endswith(closing)
        if whole and opening not in inner and closing not in inner:
            return inner.strip()
    return line
