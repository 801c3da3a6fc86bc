"""How long encoders take from a waveform to their answers, beside this machine's limit and the published code.

    python benchmarks/encoders.py [--model dspast] [--reference CHECKOUT] [--threads 2]

Full-size models with random weights hear ten seconds at 32 kHz. Prints:

1. The matrix products of this machine, in float32 and bfloat16: the limit of any transformer on it.
2. For each model the time of the front end (waveform to normalised feature maps), of one branch where there are any,
   and of everything; in float32, in bfloat16 as `from_pretrained(..., dtype=torch.bfloat16)` gives it (the front end
   stays in float32), and with bfloat16 autocast. The share of the limit is that of the blocks' operations alone, over
   the whole time.
3. With a checkout of zszheng147/Spatial-AST or wilkinghoff/DSpAST (`--reference`, once or twice) the published code in
   the same run, turn by turn with ours, both with the same weights: how many times as fast ours is, and the largest
   difference of any logit. The checkout's code is run; what it needs besides PyTorch is stood in for
   (published_binaural.py).
4. What bfloat16 changes in the answers to simulated clips: of a packaged model if there is one, and of the logits of
   the full-size one.

Times are medians, by the clock and, in brackets, of the process itself divided by its threads: on a machine that does
other work too the latter says more.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from bfloat16_change import change, clips, in_bfloat16
from markdown_table import table
from published_binaural import PublishedBinaural, filled, front_end_only
from torch import Tensor, nn
from transformers.utils import logging

from spatial_audio_lm.layers.event_localization_config import LOCALIZATION_HEADS
from spatial_audio_lm.layers.positions import sincos_table_2d
from spatial_audio_lm.models.checkpoints import packaged, packaged_names
from spatial_audio_lm.models.dspast.configuration_dspast import DSpASTConfig
from spatial_audio_lm.models.dspast.convert_dspast import dspast_from_published
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.convert_spatial_ast import spatial_ast_from_published
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization

CLIP_S = 10.0
LOGIT_GOAL = 1e-5
FRONT_END_GOAL, FLOAT32_GOAL, BFLOAT16_GOAL = 2.0, 0.95, 2.5
PACKAGED = ("dspast-tiny",)
Times = dict[str, tuple[float, float]]


class SpatialAST:
    """SpatialAST at its published size, its front end, and its published code."""

    title = "SpatialAST"
    config = SpatialASTConfig
    model = SpatialASTForSoundEventLocalization
    extractor = SpatialASTFeatureExtractor
    from_published = staticmethod(spatial_ast_from_published)
    published_file, published_first_layer = "spatial_ast.py", "conv_downsample"
    branches: tuple[str, ...] = ()
    # Norms of the front end: our name, the published one, which maps.
    norms: tuple[tuple[str, str, slice], ...] = (("spatial_ast.log_mel_norm", "bn", slice(0, 2)),)

    @staticmethod
    def first_layer(model: nn.Module) -> nn.Module:
        """The first layer behind the front end."""
        return model.get_submodule("spatial_ast.fusion")


class DSpAST(SpatialAST):
    """DSpAST, likewise; its three branches go through the blocks one by one or as a batch."""

    title = "DSpAST"
    config = DSpASTConfig
    model = DSpASTForSoundEventLocalization
    extractor = DSpASTFeatureExtractor
    from_published = staticmethod(dspast_from_published)
    published_file, published_first_layer = "dspast.py", "conv_downsample1"
    branches = ("distance", "direction", "event")
    norms = (("dspast.log_mel_norm", "bn", slice(0, 2)), ("dspast.level_norm", "bn_ild", slice(3, 4)))

    @staticmethod
    def first_layer(model: nn.Module) -> nn.Module:
        return model.get_submodule("dspast.branches.distance.fusion")


SYSTEMS: dict[str, type[SpatialAST]] = {"spatial_ast": SpatialAST, "dspast": DSpAST}


def random_model(system: type[SpatialAST], published: PublishedBinaural | None, heard: Tensor) -> nn.Module:
    """Our model with random weights of trained size, and norms that fit what was heard; the published one likewise."""
    features = system.extractor()(list(heard), sampling_rate=32_000)["input_features"]
    ours, theirs = {}, {}
    for name, published_name, maps in system.norms:
        for moment, value in (("mean", features[:, maps].mean((0, 2, 3))), ("var", features[:, maps].var((0, 2, 3)))):
            ours[f"{name}.running_{moment}"] = theirs[f"{published_name}.running_{moment}"] = value
    config = system.config()
    if published is not None:
        table = sincos_table_2d(*config.grid, config.hidden_size)[None]
        return system.from_published(published.fill(table, theirs))[0]
    model: nn.Module = system.model(config).eval()
    kept = (".scale", ".table", "num_batches_tracked")
    model.load_state_dict(filled(model.state_dict(), 0, kept) | ours)
    return model


def has_fast_bfloat16() -> bool:
    """Whether this machine's CPU multiplies bfloat16 by instructions of its own."""
    listing = Path("/proc/cpuinfo")
    flags = listing.read_text().split() if listing.exists() else []
    return bool({"avx512_bf16", "amx_bf16", "bf16", "svebf16"} & set(flags))


def in_turn(works: Mapping[str, Callable[[], object]], repeats: int) -> Times:
    """Median seconds of each work, by the clock and of this process per thread; one turn before goes uncounted."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            start, own = time.perf_counter(), time.process_time()
            work()
            if turn:
                used = (time.process_time() - own) / torch.get_num_threads()
                times[name].append((time.perf_counter() - start, used))
    return {
        name: (statistics.median(wall for wall, _ in rows), statistics.median(used for _, used in rows))
        for name, rows in times.items()
    }


def machine(dtypes: list[torch.dtype]) -> dict[torch.dtype, float]:
    """Prints what this machine does at best; GFLOP/s by type, by the time of the process."""
    size, limits, rows = 2048, {}, []
    for dtype in dtypes:
        left, right = torch.randn(2, size, size).to(dtype)
        wall, used = in_turn({"": lambda left=left, right=right: left @ right}, 15)[""]
        limits[dtype] = 2e-9 * size**3 / used
        rows.append([str(dtype).removeprefix("torch."), f"{2e-9 * size**3 / wall:.0f} ({limits[dtype]:.0f})"])
    load, threads, cores = os.getloadavg()[0], torch.get_num_threads(), os.cpu_count() or 1
    print(f"{platform.machine()}, {threads} thread(s) on {cores} cores, load average {load:.1f}\n")
    if threads > 1 and load + threads > cores + 0.5:
        print("Other work is running: threads wait for each other, and times of more than one mean little.\n")
    print(table([f"{size}³ matrix product", "GFLOP/s"], rows) + "\n")
    return limits


def gigaflop_of_blocks(config: Any) -> float:
    """Operations of one pass of one sequence through the transformer blocks, two a multiplication with addition."""
    tokens, dim = config.num_tokens, config.hidden_size
    products = 4 * dim**2 + 2 * dim * config.intermediate_size
    return 2e-9 * config.num_hidden_layers * tokens * (products + 2 * tokens * dim)


def speeds(
    system: type[SpatialAST],
    model: Any,
    published: PublishedBinaural | None,
    limits: dict[torch.dtype, float],
    repeats: int,
) -> None:
    """Prints the second and the third table of one system."""
    extractor, heard = system.extractor(), clips(1, 32_000)
    branch = {"branches": system.branches[:1]}

    def features() -> dict[str, Tensor]:
        return dict(extractor(heard[0], sampling_rate=32_000))

    def autocast(**inputs: Any) -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return model(**inputs)

    front: dict[str, Callable[[], object]] = {
        "front end": lambda: front_end_only(model, system.first_layer(model), **features())
    }
    whole: dict[str, Callable[[], object]] = {"whole, float32": lambda: model(**features())}
    if published is not None:
        front["front end, published"] = lambda: published.front_end(heard)
        whole["whole, float32, published"] = lambda: published.forward(heard)
        logits, theirs = model(**features()), published.forward(heard)
        difference = max(float((logits[f"{head}_logits"] - theirs[head]).abs().max()) for head in LOCALIZATION_HEADS)
        spread = min(float(theirs[head].std()) for head in LOCALIZATION_HEADS)
        print(
            f"{system.title}, logits: {difference:.1e} from the published ones at most (their spread is {spread:.2f}): "
            f"≤ {LOGIT_GOAL:g} {'✓' if difference <= LOGIT_GOAL else '✗'}\n"
        )
    if system.branches:
        whole["one branch, float32"] = lambda: model(**features(), **branch)
    if torch.bfloat16 in limits:
        half = in_bfloat16(model)
        whole["whole, bfloat16"] = lambda: half(**features())
        whole["whole, bfloat16 autocast"] = lambda: autocast(**features())
        if system.branches:
            whole["one branch, bfloat16"] = lambda: half(**features(), **branch)
    times = in_turn(front, 5 * repeats) | in_turn(whole, repeats)
    sequence = gigaflop_of_blocks(model.config)
    rows = []
    for name in sorted(times, key=lambda name: (name.startswith("whole"), name.startswith("one"), name)):
        wall, used = times[name]
        work = 0.0 if name.startswith("front") else sequence * (len(system.branches) or 1)
        if name.startswith("one"):
            work = sequence
        limit = limits[torch.bfloat16 if "bfloat16" in name else torch.float32]
        row = [
            name,
            f"{wall:.3f} ({used:.3f})",
            f"{work:.0f}" if work else "",
            f"{work / used / limit:.2f}" if work else "",
        ]
        compared = "front end, published" if name.startswith("front") else "whole, float32, published"
        goals = {"front end": FRONT_END_GOAL, "whole, float32": FLOAT32_GOAL, "whole, bfloat16": BFLOAT16_GOAL}
        if compared in times and name != compared and not name.startswith("one"):
            ratio = times[compared][1] / used
            goal = goals.get(name)
            row += [f"{times[compared][0] / wall:.2f} ({ratio:.2f})"]
            row += [f"≥ {goal} {'✓' if ratio >= goal else '✗'}" if goal else ""]
        else:
            row += ["", ""]
        rows.append(row)
    header = [f"{system.title}, {CLIP_S:g} s", "s", "GFLOP", "share of the limit", "times as fast as published", "goal"]
    print(table(header, rows) + "\n")


def change_of_packaged(number: int) -> None:
    """Prints what bfloat16 changes in the trained models of this package."""
    for name in PACKAGED:
        if name not in packaged_names():
            print(f"({name} is not packaged: no answers of a trained model)\n")
            continue
        extractor = DSpASTFeatureExtractor.from_pretrained(packaged(name))
        model = DSpASTForSoundEventLocalization.from_pretrained(packaged(name)).eval()
        rate = extractor.sampling_rate
        heard = clips(number, rate, min(CLIP_S, extractor.chunk_samples / rate))
        print(change(name, model, extractor(list(heard), sampling_rate=rate)["input_features"], True) + "\n")


def references(folders: list[Path]) -> dict[str, Path]:
    """Which system each checkout is of."""
    found = {}
    for folder in folders:
        names = [name for name, system in SYSTEMS.items() if (folder / system.published_file).is_file()]
        if not names:
            sys.exit(f"--reference {folder}: no spatial_ast.py or dspast.py there; give the root of a checkout")
        found[names[0]] = folder
    return found


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[*SYSTEMS, "both"], default="both")
    parser.add_argument("--reference", type=Path, action="append", default=[], metavar="CHECKOUT")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each whole forward")
    parser.add_argument("--clips", type=int, default=32, help="for the change by bfloat16; 0 leaves it out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    checkouts = references(options.reference)
    dtypes = [torch.float32, torch.bfloat16] if has_fast_bfloat16() else [torch.float32]
    with torch.inference_mode():
        limits = machine(dtypes)
        if len(dtypes) == 1:
            print("This CPU has no instructions for bfloat16: float32 alone.\n")
        for name in SYSTEMS if options.model == "both" else [options.model]:
            system, published = SYSTEMS[name], None
            if name in checkouts:
                published = PublishedBinaural(checkouts[name], system.published_file, system.published_first_layer)
            model = random_model(system, published, clips(4, 32_000))
            speeds(system, model, published, limits, options.repeats)
            if options.clips and len(dtypes) > 1:
                heard = clips(min(options.clips, 8), 32_000)
                features = system.extractor()(list(heard), sampling_rate=32_000)["input_features"]
                print(change(f"{system.title}, full size, random weights", model, features, False) + "\n")
        if options.clips and len(dtypes) > 1:
            change_of_packaged(options.clips)


if __name__ == "__main__":
    main()
