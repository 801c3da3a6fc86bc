"""How long GRAM takes from a waveform to its embedding, beside this machine's limit and the published code.

    python benchmarks/gram.py [--reference CHECKOUT] [--threads 1] [--json FILE]

A model of the published size with random weights hears ten seconds. Prints:

1. The matrix products of this machine, in float32 and bfloat16: the limit of any transformer on it.
2. The time of the front end, of two ears and of ambisonics.
3. The time from waveform to embedding: in the exact mode (`published_padding=True`, six chunks, the last of them one
   frame and padding), in the clean mode (five), and in bfloat16 as `from_pretrained(..., dtype=torch.bfloat16)` gives
   it. The share of the limit is that of the blocks' operations, over the whole time.
4. What bfloat16 changes in the embeddings of simulated clips, as a share of their length and of their spread.

With a checkout of labhamlet/GRAM-T the published code runs in turn with ours, on the same weights and clips
(published_gram.py), and its embedding is compared with that of the exact mode.

Times are medians, by the clock and, in brackets, of the process itself divided by its threads: on a machine that does
other work too the latter says more.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bfloat16_change import clips, in_bfloat16
from encoders import Times, has_fast_bfloat16, in_turn, machine
from markdown_table import table
from published_binaural import filled
from published_gram import PublishedGram, published_front_end
from torch import Tensor
from transformers.utils import logging

from spatial_audio_lm.models.gram.configuration_gram import GramConfig
from spatial_audio_lm.models.gram.convert_gram import gram_from_published
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.modeling_gram import GramModel
from spatial_audio_lm.signal.ambisonics import convert_foa

RATE = 32_000
EXACT, CLEAN, HALF, PUBLISHED = "exact", "clean", "clean, bfloat16", "published"
FOA_GOAL, EXACT_GOAL, CLEAN_GOAL, HALF_GOAL = 2.0, 1.0, 1.2, 2.5
EMBEDDING_GOAL = 1e-4
Work = dict[str, Callable[[], object]]


def encoder(published: PublishedGram | None) -> GramModel:
    """Our encoder, with the weights of the published model if there is one."""
    if published is not None:
        return gram_from_published(published.model.state_dict())[0].gram
    model = GramModel(GramConfig.published("binaural-patch")).eval()
    model.load_state_dict(filled(model.state_dict(), 0, ("positions.table",)))
    return model


def gigaflop(config: GramConfig, chunks: int) -> float:
    """Operations of some whole chunks in the transformer blocks, two a multiplication with addition."""
    tokens, dim = config.num_patches + 1, config.hidden_size
    products = 4 * dim**2 + 2 * dim * config.intermediate_size
    return 2e-9 * config.num_hidden_layers * chunks * tokens * (products + 2 * tokens * dim)


def front_ends(checkout: Path | None, ears: Tensor, repeats: int) -> tuple[Times, Times]:
    """Times of the front end of two ears and of ambisonics, ours and the published one."""
    four = torch.cat([ears, ears.roll(777, -1)])  # any four channels: the time does not depend on them
    foa = convert_foa(four, "gram", "ambix")
    results = []
    for variant, heard, given in (("binaural-patch", ears, ears), ("ambisonics-patch", foa, four)):
        extractor = GramFeatureExtractor.for_model(GramConfig.published(variant))
        work: Work = {"ours": lambda e=extractor, h=heard: e(h, sampling_rate=RATE)}
        if checkout is not None:
            published = published_front_end(checkout, extractor.extract(heard[None]).shape[1])
            work[PUBLISHED] = lambda p=published, g=given: p(g)
        results.append(in_turn(work, repeats))
    return results[0], results[1]


def rows_of(times: Times, goals: dict[str, float], prefix: str, more: dict[str, list[str]]) -> list[list[str]]:
    """Table rows: time, what `more` says, and how many times as fast as published."""
    rows = []
    for name, (wall, used) in times.items():
        row = [f"{prefix}{name}", f"{wall:.4f} ({used:.4f})", *more.get(name, ["", ""])]
        if PUBLISHED in times and name != PUBLISHED:
            ratio, goal = times[PUBLISHED][1] / used, goals.get(name)
            row += [f"{times[PUBLISHED][0] / wall:.2f} ({ratio:.2f})"]
            row += [f"≥ {goal} {'✓' if ratio >= goal else '✗'}" if goal else ""]
        else:
            row += ["", ""]
        rows.append(row)
    return rows


def change(model: GramModel, half: GramModel, extractor: GramFeatureExtractor, number: int) -> dict[str, list[float]]:
    """Prints how far bfloat16 moves embeddings; the relative errors by kind of embedding."""
    inputs = extractor(list(clips(number, RATE)), sampling_rate=RATE)
    before, after = model(**inputs), half(**inputs)
    found, rows = {}, []
    for name in ("scene_raw", "scene_mean", "scene_cls"):
        error = (after[name] - before[name]).norm(dim=1)
        spread = (before[name] - before[name].mean(0)).norm(dim=1).mean()
        found[name] = [float((error / before[name].norm(dim=1)).mean()), float(error.mean() / spread)]
        rows.append([name, *(f"{100 * value:.2f} %" for value in found[name])])
    print(table([f"bfloat16, {number} clips, random weights", "error / length", "error / spread"], rows) + "\n")
    return found


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, metavar="CHECKOUT")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each whole embedding")
    parser.add_argument("--clips", type=int, default=8, help="for the change by bfloat16")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    dtypes = [torch.float32, torch.bfloat16] if has_fast_bfloat16() else [torch.float32]
    with torch.inference_mode():
        limits = machine(dtypes)
        ears = clips(1, RATE)[0]
        published = PublishedGram(options.reference) if options.reference else None
        model = encoder(published)
        extractor = GramFeatureExtractor.for_model(model.config)

        def embed(network: GramModel, exact: bool = False) -> Tensor:
            result: Tensor = network(**extractor(ears, sampling_rate=RATE), published_padding=exact).scene_raw
            return result

        work: Work = {EXACT: lambda: embed(model, True), CLEAN: lambda: embed(model)}
        report: dict[str, Any] = {}
        if published is not None:
            theirs = published.scene(ears)
            difference = float((embed(model, True) - theirs).abs().max())
            report["largest_difference"] = difference
            print(
                f"Embedding of the exact mode: {difference:.1e} from the published one at most (its spread is "
                f"{float(theirs.std()):.2f}): ≤ {EMBEDDING_GOAL:g} {'✓' if difference <= EMBEDDING_GOAL else '✗'}\n"
            )
            work[PUBLISHED] = lambda: published.scene(ears)
        half = in_bfloat16(model) if len(dtypes) == 2 else None
        if half is not None:
            work[HALF] = lambda: embed(half)
        two, four = front_ends(options.reference, ears, 5 * options.repeats)
        times = in_turn(work, options.repeats)
        shares = {}
        for name, chunks in ((EXACT, 6), (CLEAN, 5), (HALF, 5), (PUBLISHED, 6)):
            if name in times:
                work_done = gigaflop(model.config, chunks)
                limit = limits[torch.bfloat16 if name == HALF else torch.float32]
                shares[name] = [f"{work_done:.0f}", f"{work_done / times[name][1] / limit:.2f}"]
        rows = rows_of(two, {}, "front end, two ears, ", {})
        rows += rows_of(four, {"ours": FOA_GOAL}, "front end, ambisonics, ", {})
        goals = {EXACT: EXACT_GOAL, CLEAN: CLEAN_GOAL, HALF: HALF_GOAL}
        rows += rows_of(times, goals, "embedding, ", shares)
        header = ["GRAM, 10 s", "s", "GFLOP", "share of the limit", "times as fast as published", "goal"]
        print(table(header, rows) + "\n")
        megabytes = sum(parameter.numel() for parameter in model.parameters()) * 4e-6
        held = f", published with its decoder {_megabytes(published):.0f} MB" if published is not None else ""
        print(f"Weights in memory: {megabytes:.0f} MB{held}.\n")
        if half is not None:
            report["bfloat16_error"] = change(model, half, extractor, options.clips)
        else:
            print("This CPU has no instructions for bfloat16: float32 alone.\n")
    report |= {"two_ears_s": two, "ambisonics_s": four, "embedding_s": times}
    if options.json:
        options.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


def _megabytes(published: PublishedGram) -> float:
    return sum(parameter.numel() for parameter in published.model.parameters()) * 4e-6


if __name__ == "__main__":
    main()
