"""How long WavJEPA takes for embeddings and for a step of pre-training, beside the limit and the published code.

    python benchmarks/wavjepa.py [--reference CHECKOUT] [--threads 1] [--json FILE]

A model of the published size with random weights hears ten seconds. Prints:

1. The matrix products of this machine, in float32 and bfloat16: the limit of any transformer on it.
2. The time from waveform to embeddings: in the exact mode (`published_padding=True`), in the clean one, and in bfloat16
   as `from_pretrained(..., dtype=torch.bfloat16)` gives it. The share of the limit is that of the blocks' operations,
   over the whole time.
3. What bfloat16 changes in the embeddings of simulated clips, as a share of their length and of their spread.
4. The time of a step of pre-training: forward, target encoder, backward, clipping, AdamW.
5. The most memory that embedding the clip takes, above what the imports take, each in a process of its own.

With a checkout of labhamlet/wavjepa the published code runs in turn with ours, on the same weights, clips and masks
(published_wavjepa.py), and embeddings and losses are compared.

Times are medians, by the clock and, in brackets, of the process itself divided by its threads: on a machine that does
other work too the latter says more.
"""

import argparse
import json
import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bfloat16_change import clips, in_bfloat16
from encoders import has_fast_bfloat16, in_turn, machine
from gram import CLEAN, EXACT, HALF, PUBLISHED, rows_of
from markdown_table import table
from published_binaural import filled
from published_wavjepa import PublishedEmbeddings, PublishedTraining, import_published
from torch import Tensor
from transformers.utils import logging

from spatial_audio_lm.layers.time_block_masking import TimeBlockMasks, time_block_masks
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig
from spatial_audio_lm.models.wavjepa.convert_wavjepa import wavjepa_from_published
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel
from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining

RATE, CLIP_SAMPLES = 16_000, 160_000
EXACT_GOAL, CLEAN_GOAL, HALF_GOAL, STEP_GOAL, MEMORY_GOAL = 0.95, 0.95, 2.5, 1.7, 0.6
EMBEDDING_GOAL, LOSS_GOAL = 2e-4, 1e-4
OURS = "ours"
Work = dict[str, Callable[[], object]]


def gigaflop(config: WavJEPAConfig, frames: int) -> float:
    """Operations of that many frames in the transformer blocks, two a multiplication with addition."""
    dim = config.hidden_size
    products = 4 * dim**2 + 2 * dim * config.intermediate_size
    return 2e-9 * config.num_hidden_layers * frames * (products + 2 * config.num_frames * dim)


def change(model: WavJEPAModel, half: WavJEPAModel, number: int) -> dict[str, list[float]]:
    """Prints how far bfloat16 moves embeddings; the relative errors by kind of embedding."""
    heard = [clip[:1] for clip in clips(number, RATE)]
    inputs = WavJEPAFeatureExtractor()(heard, sampling_rate=RATE)
    before, after = model(**inputs), half(**inputs)
    found, rows = {}, []
    for name in ("frame_embeddings", "scene_mean"):
        error = (after[name] - before[name]).norm(dim=-1)
        spread = (before[name] - before[name].mean(0)).norm(dim=-1).mean()
        found[name] = [float((error / before[name].norm(dim=-1)).mean()), float(error.mean() / spread)]
        rows.append([name, *(f"{100 * value:.2f} %" for value in found[name])])
    print(table([f"bfloat16, {number} clips, random weights", "error / length", "error / spread"], rows) + "\n")
    return found


def embeddings(checkout: Path | None, limits: dict[torch.dtype, float], options: Any) -> dict[str, Any]:
    """Prints times and errors of embeddings; what was measured."""
    published, clip = None, clips(1, RATE)[0, :1]
    if checkout is not None:
        published = PublishedEmbeddings(checkout)
        model = wavjepa_from_published(published.fill())[0].wavjepa
    else:
        model = WavJEPAModel(WavJEPAConfig()).eval()
        model.load_state_dict(filled(model.state_dict(), 0, (".table",)))
    extractor = WavJEPAFeatureExtractor.for_model(model.config)

    def embed(network: WavJEPAModel, exact: bool = False) -> Tensor:
        inputs = extractor(clip, sampling_rate=RATE, published_padding=exact)
        result: Tensor = network(**inputs, published_padding=exact).frame_embeddings
        return result

    report: dict[str, Any] = {}
    work: Work = {EXACT: lambda: embed(model, True), CLEAN: lambda: embed(model)}
    if published is not None:
        theirs = published.embeddings(clip)
        difference = float((embed(model, True) - theirs).abs().max())
        report["largest_difference"] = difference
        print(
            f"Embeddings of the exact mode, {theirs.shape[1]} frames: {difference:.1e} from the published ones at most "
            f"(their spread is {float(theirs.std()):.2f}): ≤ {EMBEDDING_GOAL:g} "
            f"{'✓' if difference <= EMBEDDING_GOAL else '✗'}\n"
        )
        work[PUBLISHED] = lambda: published.embeddings(clip)
    half = in_bfloat16(model) if torch.bfloat16 in limits else None
    if half is not None:
        work[HALF] = lambda: embed(half)
    times = in_turn(work, options.repeats)
    shares = {}
    for name in times:
        done = gigaflop(
            model.config, 5 * model.config.num_frames if name in (EXACT, PUBLISHED) else len(embed(model)[0])
        )
        limit = limits[torch.bfloat16 if name == HALF else torch.float32]
        shares[name] = [f"{done:.0f}", f"{done / times[name][1] / limit:.2f}"]
    goals = {EXACT: EXACT_GOAL, CLEAN: CLEAN_GOAL, HALF: HALF_GOAL}
    header = ["WavJEPA, 10 s", "s", "GFLOP", "share of the limit", "times as fast as published", "goal"]
    print(table(header, rows_of(times, goals, "embeddings, ", shares)) + "\n")
    if half is not None:
        report["bfloat16_error"] = change(model, half, options.clips)
    else:
        print("This CPU has no instructions for bfloat16: float32 alone.\n")
    return report | {"embeddings_s": times}


def training(checkout: Path | None, batch: int, repeats: int) -> dict[str, Any]:
    """Prints times of a pre-training step; what was measured."""
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(batch, 1, WavJEPAConfig().window_samples, generator=generator)
    context, targets = time_block_masks(batch, 200, TimeBlockMasks(), generator)
    published = None
    if checkout is not None:
        published = PublishedTraining(checkout)
        model = wavjepa_from_published(published.fill())[0]
    else:
        model = WavJEPAForPreTraining(WavJEPAConfig())
    adamw = torch.optim.AdamW(model.parameters(), lr=4e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.04)

    def step() -> float:
        loss = model(windows, context, targets).loss
        model.update_target_encoder(0.999)
        adamw.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        adamw.step()
        return float(loss.detach())

    report: dict[str, Any] = {}
    work: Work = {OURS: step}
    if published is not None:
        theirs = published.optimizer()
        work[PUBLISHED] = lambda: published.training_step(windows, context, targets, theirs)
        with torch.no_grad():
            loss = float(model(windows, context, targets).loss)
            same = float(published.model(windows, ~context, targets, ~(context[:, None] | targets))["loss"])
        report["loss_difference"] = abs(loss - same)
        verdict = "✓" if abs(loss - same) <= LOSS_GOAL else "✗"
        print(f"Loss: {loss:.6f}, published {same:.6f}: difference ≤ {LOSS_GOAL:g} {verdict}\n")
    times = in_turn(work, repeats)
    rows = [row[:2] + row[4:] for row in rows_of(times, {OURS: STEP_GOAL}, f"step of {batch} windows, ", {})]
    print(table(["WavJEPA, pre-training", "s", "times as fast as published", "goal"], rows) + "\n")
    return report | {"step_s": times}


def peak_above_imports(kind: str, checkout: Path | None, threads: int, answer: Any) -> None:
    """MiB that embedding a clip takes above the imports; to be run in a process of its own."""
    torch.set_num_threads(threads)
    if kind == PUBLISHED and checkout is not None:
        import_published(checkout)
    before = _peak_mib()
    clip = 0.1 * torch.randn(1, CLIP_SAMPLES, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        if kind == PUBLISHED and checkout is not None:
            PublishedEmbeddings(checkout).embeddings(clip)
        else:
            model = WavJEPAModel(WavJEPAConfig()).eval()
            model(**WavJEPAFeatureExtractor()(clip, sampling_rate=RATE))
    answer.put(_peak_mib() - before)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(checkout: Path | None, threads: int) -> dict[str, float]:
    """Prints and returns the peaks of ours and, with a checkout, of the published code."""
    spawn, peaks = multiprocessing.get_context("spawn"), {}
    for kind in (OURS, PUBLISHED) if checkout is not None else (OURS,):
        answer = spawn.Queue()
        process = spawn.Process(target=peak_above_imports, args=(kind, checkout, threads, answer))
        process.start()
        peaks[kind] = answer.get(timeout=600)
        process.join()
    rows = [[kind, f"{peak:.0f}"] for kind, peak in peaks.items()]
    print(table(["memory of embedding 10 s", "MiB above the imports"], rows) + "\n")
    if PUBLISHED in peaks:
        ratio = peaks[OURS] / peaks[PUBLISHED]
        print(f"{ratio:.2f} of the published: ≤ {MEMORY_GOAL} {'✓' if ratio <= MEMORY_GOAL else '✗'}\n")
    return peaks


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, metavar="CHECKOUT")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each embedding")
    parser.add_argument("--clips", type=int, default=8, help="for the change by bfloat16")
    parser.add_argument("--batch", type=int, default=4, help="windows of a pre-training step")
    parser.add_argument("--steps", type=int, default=3, help="turns of the pre-training step; 0 leaves it out")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if min(options.threads, options.repeats, options.clips, options.batch) < 1 or options.steps < 0:
        parser.error("threads, repeats, clips and batch are 1 or more, steps 0 or more")
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    dtypes = [torch.float32, torch.bfloat16] if has_fast_bfloat16() else [torch.float32]
    report: dict[str, Any] = {"memory_mib": memory(options.reference, options.threads)}
    with torch.inference_mode():
        limits = machine(dtypes)
        report |= embeddings(options.reference, limits, options)
    if options.steps:
        report |= training(options.reference, options.batch, options.steps)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
