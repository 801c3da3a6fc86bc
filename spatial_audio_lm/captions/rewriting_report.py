"""How a rewriting job went: how many captions passed at which attempt, and what was wrong with the others."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS

_COLUMNS = ["attributes", "source", "attempts", "rejections"]


def rewriting_report(shards: Iterable[Path]) -> dict[str, Any]:
    """Counts over the results of a job.

    Args:
        shards: its Parquet files.

    Returns:
        captions: how many; rewritten and by_template: what became of them; accepted_at_attempt: how many passed at
        which; answers and rejected: of all attempts; reasons: answers rejected for each reason, by attribute (or
        "sentence"); attributes: for each the captions that state it, those of them rewritten by the model, and the
        answers that were rejected because of it.
    """
    sources, passed_at, stated, rewritten = Counter[str](), Counter[int](), Counter[str](), Counter[str]()
    reasons, because_of = Counter[tuple[str, str]](), Counter[str]()
    rejected = 0
    for path in shards:
        for row in pq.read_table(path, columns=_COLUMNS).to_pylist():
            by_model = row["source"] == "llm"
            sources[row["source"]] += 1
            if by_model:
                passed_at[row["attempts"]] += 1
            said = [name for name, word in row["attributes"].items() if word]
            stated.update(said)
            if by_model:
                rewritten.update(said)
            for answer in row["rejections"]:
                rejected += 1
                found = {(problem["reason"], problem["attribute"] or "sentence") for problem in answer["reasons"]}
                reasons.update(found)
                because_of.update({attribute for _, attribute in found})
    return {
        "captions": sources.total(),
        "rewritten": sources["llm"],
        "by_template": sources["template"],
        "accepted_at_attempt": {str(attempt): passed_at[attempt] for attempt in sorted(passed_at)},
        "answers": rejected + sources["llm"],
        "rejected": rejected,
        "reasons": {
            reason: {about: count for (name, about), count in sorted(reasons.items()) if name == reason}
            for reason in sorted({reason for reason, _ in reasons})
        },
        "attributes": {
            name: {"stated": stated[name], "rewritten": rewritten[name], "rejected": because_of[name]}
            for name in ATTRIBUTE_WORDS
        },
    }


def report_table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    captions, answers = report["captions"], report["answers"]
    lines = [
        "| captions | number | share |",
        "|---|---|---|",
        f"| all | {captions} | |",
        f"| rewritten by the model | {report['rewritten']} | {_share(report['rewritten'], captions)} |",
        *(
            f"| accepted at attempt {attempt} | {count} | {_share(count, captions)} |"
            for attempt, count in report["accepted_at_attempt"].items()
        ),
        f"| written by rule | {report['by_template']} | {_share(report['by_template'], captions)} |",
        "",
        "| answers rejected for | about | number | share of all answers |",
        "|---|---|---|---|",
        f"| any reason | | {report['rejected']} | {_share(report['rejected'], answers)} |",
        *(
            f"| {reason} | {about} | {count} | {_share(count, answers)} |"
            for reason, abouts in report["reasons"].items()
            for about, count in abouts.items()
        ),
        "",
        "| attribute | captions that state it | of them rewritten by the model | answers rejected because of it |",
        "|---|---|---|---|",
        *(
            f"| {name} | {counts['stated']} | {_share(counts['rewritten'], counts['stated'])} | {counts['rejected']} |"
            for name, counts in report["attributes"].items()
        ),
    ]
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
