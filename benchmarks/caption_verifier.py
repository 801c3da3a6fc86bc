"""How well the verifier of rewritten captions tells right from wrong: by kind of fault, by attribute, with intervals.

    python benchmarks/caption_verifier.py [--captions DIR] [--half tune|report] [--similarity] [--show KIND]

Two sets of texts whose faults are known. "by rule": `caption_faults.py` writes right and faulty sentences over sound
captions: those of DIR (Clotho's and AudioCaps' csv files, `clotho_test.csv` and so on) or, without it, the captions of
the second set. "by hand": `caption_verifier_sentences.json`, free sentences as a language model would write them. Both
have a half that the verifier was tuned on (train and validation captions, one half of the wordings, the sentences of
the first batches) and one to report on (test captions, the other half of the wordings, the sentences of the last batch,
which were written after the verifier's lists and are not in them).

Read the numbers with two things in mind. Right sentences by rule keep most words of their caption, so that accepting
them is easy; those by hand are what a model's free wording meets. And wordings, sentences and the verifier's lists are
of one author: the halves hold no phrase in common, but one way of thinking.

Prints, for each kind of fault and each attribute, the share that is rejected (and that is rejected with the attribute
that is at fault), and the share of right sentences that are accepted; with 95 % intervals over captions.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from caption_faults import HALVES, Case, Writer
from markdown_table import table

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.verification import Verdict, Verifier
from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.metrics.intervals import bootstrap_interval

SENTENCES = Path(__file__).with_name("caption_verifier_sentences.json")
FILES = {
    "tune": ("clotho_train", "clotho_val", "audiocaps_train", "audiocaps_val"),
    "report": ("clotho_test", "audiocaps_test"),
}
ATTRIBUTE_FAULTS = ("dropped", "swapped", "invented")


def read_captions(folder: Path, half: str, number: int, seed: int) -> list[str]:
    """Captions of a half drawn at random, as many of each file.

    Raises:
        DataError: a file is missing.
    """
    generator, drawn = np.random.default_rng(seed), []
    for name in FILES[half]:
        path = folder / f"{name}.csv"
        if not path.is_file():
            raise DataError(f"no {path}; expected the csv files of Clotho and AudioCaps")
        with path.open(encoding="utf-8", newline="") as file:
            texts = [text for row in csv.DictReader(file) for key, text in row.items() if key.startswith("caption")]
        texts = [text for text in texts if text and text.strip()]
        drawn += [texts[k] for k in generator.permutation(len(texts))[: number // len(FILES[half])]]
    return drawn


def sentences(half: str) -> list[Case]:
    """The sentences by hand of one half."""
    cases = []
    for entry in json.loads(SENTENCES.read_text(encoding="utf-8")):
        if entry["half"] == half:
            facts = entry["caption"], SpatialAttributes(**entry["attributes"])
            cases += [Case(*facts, text) for text in entry["correct"]]
            cases += [Case(*facts, wrong["text"], wrong["fault"], wrong["attribute"]) for wrong in entry["faulty"]]
    return cases


def rule_made(captions: list[str], half: str, seed: int, right: int = 2) -> list[Case]:
    """Right and faulty sentences over captions."""
    writer = Writer(half, np.random.default_rng(seed))
    return [
        case
        for caption in captions
        for case in [*(writer.right(caption) for _ in range(right)), *writer.faulty(caption)]
    ]


def share(hits: list[bool], groups: list[str]) -> str:
    """A share with its interval over groups."""
    values = np.array(hits, dtype=float)
    interval = bootstrap_interval(lambda items: float(values[items].mean()), groups)
    return f"{100 * values.mean():.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def report(title: str, cases: list[Case], verdicts: list[Verdict]) -> None:
    """Print the tables of one set."""
    rejected = [not verdict.accepted for verdict in verdicts]
    named = [
        any(r.attribute == case.attribute for r in verdict.reasons) if case.attribute else not verdict.accepted
        for case, verdict in zip(cases, verdicts, strict=True)
    ]

    def row(label: str, chosen: Callable[[Case], bool]) -> list[str]:
        at = [k for k, case in enumerate(cases) if chosen(case)]
        if not at:
            return [label, "0", "-", "-"]
        groups = [cases[k].caption for k in at]
        return [label, str(len(at)), share([rejected[k] for k in at], groups), share([named[k] for k in at], groups)]

    kinds = list(dict.fromkeys(case.fault for case in cases if case.fault))
    rows = [row(kind, lambda case, kind=kind: case.fault == kind) for kind in kinds]  # type: ignore[misc]
    for name in ATTRIBUTE_WORDS:
        rows.append(
            row(
                f"dropped, swapped or invented {name}",
                lambda case, name=name: case.fault in ATTRIBUTE_FAULTS and case.attribute == name,
            )
        )  # type: ignore[misc]
    rows.append(row("dropped, swapped or invented, all", lambda case: case.fault in ATTRIBUTE_FAULTS))
    rows.append(row("all faults", lambda case: case.fault is not None))
    right = [k for k, case in enumerate(cases) if case.fault is None]
    kept = share([not rejected[k] for k in right], [cases[k].caption for k in right])
    print(f"\n### {title}: {len(cases)} sentences over {len({case.caption for case in cases})} captions\n")
    print(table(("fault", "sentences", "rejected (recall)", "with the attribute at fault"), rows))
    print(f"\nright sentences accepted: {kept} of {len(right)}")
    chosen = [k for k in range(len(cases)) if rejected[k]]
    true = share([cases[k].fault is not None for k in chosen], [cases[k].caption for k in chosen])
    print(f"rejections that are due (precision): {true} of {len(chosen)}")
    why = Counter(r.reason for k in right for r in verdicts[k].reasons)
    print(f"reasons against right sentences: {', '.join(f'{n} {reason}' for reason, n in why.most_common()) or 'none'}")


def similarity() -> Callable[[list[str], list[str]], list[float]]:
    """The likeness of sentences by MiniLM."""
    from spatial_audio_lm.metrics.sentence_embeddings import SentenceEmbedder

    embed = SentenceEmbedder()
    return lambda first, second: (embed(first) * embed(second)).sum(1).tolist()


def main() -> None:
    """Read the options, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--captions", type=Path, metavar="DIR", help="folder with the csv files of Clotho and AudioCaps"
    )
    parser.add_argument("--half", choices=HALVES, default="report", help="tune or report")
    parser.add_argument("--number", type=int, default=400, help="captions to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--similarity", action="store_true", help="with the likeness of sentences by MiniLM")
    parser.add_argument("--show", metavar="KIND", help="also print what went wrong: a kind of fault, or 'right'")
    options = parser.parse_args()

    by_hand = sentences(options.half)
    if options.captions:
        captions = read_captions(options.captions, options.half, options.number, options.seed)
    else:
        captions = list(dict.fromkeys(case.caption for case in by_hand))
    verifier = Verifier(similarity=similarity() if options.similarity else None)
    for title, cases in (("by rule", rule_made(captions, options.half, options.seed)), ("by hand", by_hand)):
        began = time.perf_counter()
        verdicts = verifier.check_all(
            [case.text for case in cases], [CaptionFacts(case.caption, case.attributes) for case in cases]
        )
        seconds = time.perf_counter() - began
        report(f"{title}, half to {options.half}", cases, verdicts)
        print(f"{1e3 * seconds / len(cases):.2f} ms a sentence")
        for case, verdict in zip(cases, verdicts, strict=True):
            mistaken = verdict.accepted is not (case.fault is None)
            if options.show and mistaken and options.show in (case.fault or "right", "all"):
                reasons = "; ".join(f"{r.reason} {r.attribute or ''} ({r.detail})" for r in verdict.reasons)
                print(
                    f"- [{case.fault or 'right'} {case.attribute or ''}] {case.text!r} of {case.caption!r}: {reasons}"
                )


if __name__ == "__main__":
    main()
