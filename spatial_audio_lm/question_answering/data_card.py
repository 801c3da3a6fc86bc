"""The card of a set of questions that was made: a header that the Hub reads, and what the set holds, as counted."""

from collections.abc import Mapping
from typing import Any

from spatial_audio_lm.question_answering.balance import AnswerBalance, balance_table

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def question_set_card(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """The card in Markdown.

    Args:
        summaries: by split, what `recipes/make_spatial_qa.py` writes as `summary.json` of it.
    """
    total = sum(summary["questions"] for summary in summaries.values())
    size = next((name for limit, name in _SIZES if total < limit), "1M<n<10M")
    licences = {name for summary in summaries.values() for name in summary["licences"]}
    synthesised = licences == {"synthesised"}
    details = "" if synthesised else "license_details: the dry clips keep their own licences, counted below\n"
    formats = sorted({summary["format"] for summary in summaries.values()})
    parts = [
        f"""---
pretty_name: Spatial questions about simulated scenes
license: {"apache-2.0" if synthesised else "other"}
{details}task_categories:
  - question-answering
  - audio-classification
size_categories:
  - {size}
annotations_creators:
  - machine-generated
source_datasets:
  - original
tags:
  - audio
  - spatial-audio
{"".join(f"  - {name}" + chr(10) for name in formats)}---

# Spatial questions about simulated scenes

Questions of SpatialSoundQA's kinds and layout about scenes with one sound or two in simulated rooms, made by
`recipes/make_spatial_qa.py`; every answer follows from the scene's geometry.

## Composition
""",
        "| split | scenes | questions | seconds | Hz | format | recordings |\n|---|---|---|---|---|---|---|",
    ]
    for split, summary in summaries.items():
        kept = "files" if summary["audio"] else "rendered from records"
        parts.append(
            f"| {split} | {summary['scenes']} | {summary['questions']} | {summary['duration_s']:g} | "
            f"{summary['sample_rate']} | {summary['format']} | {kept} |"
        )
    for split, summary in summaries.items():
        balances = {name: AnswerBalance(**values) for name, values in summary["balance"].items()}
        parts.append(f"\nAnswers of `{split}`:\n\n{balance_table(balances)}")
    parts.append(
        """## Spatial annotation

`scenes/<split>.jsonl` holds the `SceneRecord` of every scene: azimuth (0 = front, positive = left), elevation
(positive = up) and distance of every source, room, receiver, and all that renders its recording again. Answers say
left or right, front or behind, above or below, and distances in steps of half a metre.

## Splits

By clips and by rooms, as the job was told:
"""
    )
    for split, summary in summaries.items():
        parts.append(
            f"- `{split}`: {summary['clips']}; rooms of the bank's split `{summary['rooms']}`, {summary['bank']}"
        )
    parts.append("\n## Licences\n\nClips that the scenes play, by licence:\n")
    for split, summary in summaries.items():
        counts = ", ".join(f"{count} {name}" for name, count in sorted(summary["licences"].items()))
        parts.append(f"- `{split}`: {counts}")
    parts.append(
        """
## Known flaws

- Rooms are shoeboxes and sources stand still; heads are those of the bank.
- Wordings come from templates: many, but not those of people who ask.
- Two sounds are compared only where they are clearly apart; close calls are not in the set.

## Source

The scenes, questions and answers are computed; see the records for the clips and the bank of rooms.
"""
    )
    return "\n".join(parts)
