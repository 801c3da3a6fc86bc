"""How many naturalistic scenes one thread mixes in a second, beside the published code.

    python benchmarks/scenes.py [--reference CHECKOUT] [--json]

A scene has ten seconds at 32 kHz: a clip in a room, and one noise of eight seconds from three places of it, responses
of half a second, 20 dB between them; in two channels and in four. What is timed is what a training does for every scene
of every step: convolution, the ratio, the sum. Clips and responses are in memory, at their level, faded and placed.

With a checkout of labhamlet/GRAM-T (`--reference`) the published code mixes the same scenes in the same run, turn by
turn with ours: how many times as fast ours is, and the largest difference between the two mixtures as a share of their
peak. The checkout's code is run; what it needs besides PyTorch is stood in for (published_scenes.py).

Times are medians, by the clock and, in brackets, of the process itself: on a machine that does other work too the
latter says more, and the goals are held against it. So are the numbers of `--json`.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"

import torch  # noqa: E402
from markdown_table import table  # noqa: E402
from published_scenes import PublishedScenes  # noqa: E402
from torch import Tensor  # noqa: E402

from spatial_audio_lm.simulation.naturalistic_mixing import level_normalised, mix, noise_in_scene  # noqa: E402

SAMPLE_RATE, SCENE_S, NOISE_S, RESPONSE_S, PLACES, SNR_DB = 32_000, 10.0, 8.0, 0.5, 3, 20.0
NOISE_BEGIN = 20_000
GOALS = {"two": (2, 80.0), "four": (4, 40.0)}  # channels, clips/s
FASTER_GOAL, DIFFERENCE_GOAL = 40.0, 1e-4
Seconds = dict[str, tuple[float, float]]


def ingredients(channels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A clip and a noise `(1, time)`, the target's response `(1, channels, taps)`, the noise's with a row a place."""
    generator = torch.Generator().manual_seed(channels)
    length, taps = round(SCENE_S * SAMPLE_RATE), round(RESPONSE_S * SAMPLE_RATE)
    clip = level_normalised(torch.randn(length, generator=generator))
    dry = level_normalised(torch.randn(round(NOISE_S * SAMPLE_RATE), generator=generator))
    decay = torch.exp(-6.9 * torch.linspace(0, 1, taps))
    responses = 0.1 * torch.randn(1 + PLACES, channels, taps, generator=generator) * decay
    noise = noise_in_scene(dry, length, NOISE_BEGIN, 0, round(0.2 * SAMPLE_RATE))
    return clip[None], noise[None], responses[:1], responses[None, 1:]


def in_turn(works: Mapping[str, Callable[[], object]], repeats: int) -> Seconds:
    """Median seconds of each work, by the clock and of this process; one turn before goes uncounted."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            start, own = time.perf_counter(), time.process_time()
            work()
            if turn:
                times[name].append((time.perf_counter() - start, time.process_time() - own))
    wall = {name: statistics.median(wall for wall, _ in rows) for name, rows in times.items()}
    return {name: (wall[name], statistics.median(own for _, own in rows)) for name, rows in times.items()}


def measure(channels: int, published: PublishedScenes | None, repeats: int) -> tuple[Seconds, float | None]:
    """Seconds a scene, ours and published, and the difference of their mixtures as a share of the peak."""
    clip, noise, target_rir, noise_rirs = ingredients(channels)
    snr_db, length = torch.tensor([SNR_DB]), round(NOISE_S * SAMPLE_RATE)
    span = [(NOISE_BEGIN, NOISE_BEGIN + length)]

    def ours() -> Tensor:
        return mix(clip, target_rir, noise, noise_rirs.sum(1), snr_db, span).scene

    # One turn of the published code takes as long as dozens of ours.
    if published is None:
        return in_turn({"ours": ours}, 8 * repeats), None

    def theirs() -> Tensor:
        return published.mix(clip, target_rir, noise, noise_rirs, snr_db, NOISE_BEGIN, length)

    expected = theirs()
    difference = float((ours() - expected).abs().max() / expected.abs().max())
    return in_turn({"ours": ours, "published": theirs}, repeats), difference


def row_of(channels: int, goal: float, seconds: Seconds, difference: float | None) -> list[str]:
    """A line of the printed table."""
    wall, own = seconds["ours"]
    row = [str(channels), f"{1e3 * wall:.1f} ({1e3 * own:.1f})", f"{1 / wall:.0f} ({1 / own:.0f})"]
    row.append(f"≥ {goal:.0f} {'✓' if 1 / own >= goal else '✗'}")
    if "published" not in seconds or difference is None:
        return row
    wall, own = seconds["published"]
    ratio = own / seconds["ours"][1]
    return [
        *row,
        f"{1 / wall:.2f} ({1 / own:.2f})",
        f"{wall / seconds['ours'][0]:.0f} ({ratio:.0f})",
        f"≥ {FASTER_GOAL:.0f} {'✓' if ratio >= FASTER_GOAL else '✗'}",
        f"{difference:.1e}",
        f"≤ {DIFFERENCE_GOAL:.0e} {'✓' if difference <= DIFFERENCE_GOAL else '✗'}",
    ]


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, metavar="CHECKOUT", help="of labhamlet/GRAM-T")
    parser.add_argument("--repeats", type=int, default=10, help="turns")
    parser.add_argument("--json", action="store_true", help="numbers instead of the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    published = None if options.reference is None else PublishedScenes(options.reference)
    numbers: dict[str, float] = {}
    rows = []
    with torch.inference_mode():
        for name, (channels, goal) in GOALS.items():
            seconds, difference = measure(channels, published, options.repeats)
            numbers[f"{name}_channel_clips_per_s"] = 1 / seconds["ours"][1]
            numbers[f"{name}_channel_clips_per_s_by_the_clock"] = 1 / seconds["ours"][0]
            if difference is not None:
                numbers[f"{name}_channel_published_clips_per_s"] = 1 / seconds["published"][1]
                numbers[f"{name}_channel_times_as_fast"] = seconds["published"][1] / seconds["ours"][1]
                numbers[f"{name}_channel_difference_of_peak"] = difference
            rows.append(row_of(channels, goal, seconds, difference))
    if options.json:
        print(json.dumps(numbers, indent=2))
        return
    header = ["channels", "ms a scene", "scenes/s", "goal"]
    if published is not None:
        header += ["published scenes/s", "times as fast", "goal", "difference / peak", "goal"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
