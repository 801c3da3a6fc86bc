"""How long a question to a recording takes on one core after loading, where the time goes, and whether memory stays.

    python benchmarks/query.py

A ten-second first-order recording (a simulated scene, 24-bit WAV) is asked eight sentences through the same door that
`spatial-audio-lm query` uses. Prints medians for a file at the model's own rate and for one at 48 kHz, each with its
parts, and then the growth of the process's memory over 1,000 queries. On a machine that does other work too the time of
the process itself says more than the clock.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402

from spatial_audio_lm.pipelines.querying import SpatialQuery  # noqa: E402
from spatial_audio_lm.signal.ambisonics import encode_foa  # noqa: E402
from spatial_audio_lm.signal.spatial_audio import SpatialAudio  # noqa: E402
from spatial_audio_lm.simulation.sounds import synthesize  # noqa: E402

GOAL_MS = 100.0
RECORDING_S = 10.0
MEMORY_STATUS = Path("/proc/self/statm")
PLACES = ("the left", "the right", "behind", "above")
SENTENCES = tuple(f"{sound} from {place}" for sound in ("a bird singing", "rain") for place in PLACES)


def recording(sample_rate: int) -> SpatialAudio:
    """Ten seconds of a bird on the left, with a little noise in every channel."""
    bird = synthesize("bird", 0, sample_rate, RECORDING_S)
    noise = torch.randn(4, len(bird), generator=torch.Generator().manual_seed(0))
    return SpatialAudio.from_array(encode_foa(bird, 90.0, 0.0) + 1e-3 * noise, sample_rate, format="foa")


def median_ms(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median time of a call in milliseconds, by the clock and of this process alone; three calls go uncounted."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        start, own = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - start, time.process_time() - own))
    wall, own_time = zip(*times, strict=True)
    return 1e3 * statistics.median(wall), 1e3 * statistics.median(own_time)


def parts(ask: SpatialQuery, path: Path, repeats: int) -> dict[str, tuple[float, float]]:
    """Milliseconds (by the clock, of the process) of each part of a query, and of the whole."""
    loaded = SpatialAudio.load(path)
    heard = loaded.resample(ask.sample_rate)
    extractor = ask.processor.feature_extractor
    features = {name: value for name, value in extractor(heard).items() if name != "is_spatial"}

    def listen() -> object:
        with torch.inference_mode():
            return ask.model.localize(**features)

    return {
        "read": median_ms(lambda: SpatialAudio.load(path), repeats),
        "resample": median_ms(lambda: loaded.resample(ask.sample_rate), repeats),
        "features": median_ms(lambda: extractor(heard), repeats),
        "audio tower": median_ms(listen, repeats),
        f"text tower, {len(SENTENCES)} sentences": median_ms(lambda: ask.embed_texts(SENTENCES), repeats),
        "whole query": median_ms(lambda: ask.query(path, SENTENCES), repeats),
    }


def resident_mib() -> float:
    """Memory of this process that lies in RAM."""
    pages = int(MEMORY_STATUS.read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def memory_growth(ask: SpatialQuery, path: Path, queries: int) -> str:
    """Growth of the process over many queries, by a straight line through 20 readings after a warm-up."""
    for _ in range(min(100, queries)):
        ask.query(path, SENTENCES)
    readings = []
    step = max(1, queries // 20)
    for index in range(queries):
        ask.query(path, SENTENCES)
        if index % step == 0:
            readings.append((index, resident_mib()))
    index, memory = np.array(readings).T
    slope = float(np.polyfit(index, memory, 1)[0]) if len(readings) > 1 else 0.0
    return (
        f"memory over {queries} queries after a warm-up: {memory[0]:.0f} MiB -> {memory[-1]:.0f} MiB, "
        f"{1024 * slope:+.2f} KiB a query"
    )


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="elsa-tiny", help="packaged name, or folder of a checkpoint")
    parser.add_argument("--repeats", type=int, default=40, help="calls of each part")
    parser.add_argument("--queries", type=int, default=1000, help="for the memory; 0 leaves it out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    ask = SpatialQuery.from_pretrained(options.model)
    print(f"loading: {time.perf_counter() - start:.2f} s\n")
    with tempfile.TemporaryDirectory() as folder:
        columns: dict[str, dict[str, tuple[float, float]]] = {}
        for rate in sorted({ask.sample_rate, 48_000}):
            path = Path(folder) / f"{rate}.wav"
            recording(rate).save(path)
            columns[f"{rate / 1000:g} kHz file"] = parts(ask, path, options.repeats)
        print("| ms by the clock (of this process) | " + " | ".join(columns) + " |")
        print("|---" * (1 + len(columns)) + "|")
        for name in next(iter(columns.values())):
            cells = ["{:.1f} ({:.1f})".format(*column[name]) for column in columns.values()]
            print(f"| {name} | " + " | ".join(cells) + " |")
        print()
        for name, column in columns.items():
            wall, own = column["whole query"]
            print(f"{name}: whole query ≤ {GOAL_MS:.0f} ms {'✓' if wall <= GOAL_MS else '✗'} {wall:.1f} ({own:.1f})")
        if options.queries and MEMORY_STATUS.exists():
            print(memory_growth(ask, Path(folder) / f"{ask.sample_rate}.wav", options.queries))


if __name__ == "__main__":
    main()
