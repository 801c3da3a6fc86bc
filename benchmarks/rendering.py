"""How fast scenes and room impulse responses are made, on one core, beside what this machine could do at best.

    python benchmarks/rendering.py

Prints three tables:

1. Scenes per second: 4 s of first-order ambisonics at 16 kHz, responses of half a second, their spectra cached. The
   limit is the time of the bare FFTs that any overlap-free fast convolution needs for it (one real transform of the
   dry sound and one inverse transform a channel, at the same fast length), everything else free of charge.
2. Impulse responses per second over ELSA's ranges of rooms, four sources a room.
3. What the diffuse tail loses against image sources alone, in rooms whose decay is short enough for full order.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from markdown_table import table  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.fft import irfft, next_fast_len, rfft  # noqa: E402

from spatial_audio_lm.simulation.clips import ClipStore, procedural_clip  # noqa: E402
from spatial_audio_lm.simulation.records import (  # noqa: E402
    BankReference,
    Clip,
    NoiseRow,
    Receiver,
    SceneRecord,
    SceneRoom,
    SceneSource,
    SoundEvent,
)
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank  # noqa: E402
from spatial_audio_lm.simulation.rirs import complete_order, simulate_rirs  # noqa: E402
from spatial_audio_lm.simulation.room_acoustics import (  # noqa: E402
    clarity_db,
    direct_to_reverberant_db,
    t30_s,
)
from spatial_audio_lm.simulation.rooms import SPEED_OF_SOUND, sample_placement, sample_room  # noqa: E402
from spatial_audio_lm.simulation.scenes import render_scene  # noqa: E402

SAMPLE_RATE = 16_000
SCENE_S = 4.0
RESPONSE_S = 0.5
SCENES_GOAL = 80.0


class HalfSecondBank(RirBank):
    """A bank whose responses are all cut or padded to `RESPONSE_S`."""

    def rir(self, index: int) -> NDArray[np.float32]:
        response = super().rir(index)[:, : round(RESPONSE_S * SAMPLE_RATE)]
        return np.pad(response, ((0, 0), (0, round(RESPONSE_S * SAMPLE_RATE) - response.shape[1])))


def median_seconds(work: Callable[[int], object], repeats: int) -> float:
    """Median time of `work(0)`, `work(1)`, ...; one call before goes uncounted."""
    work(0)
    times = []
    for index in range(repeats):
        start = time.perf_counter()
        work(index)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def example_scene(bank: RirBank, place: int, clips: Sequence[Clip], num_sources: int, noise: bool) -> SceneRecord:
    """A scene with one clip a source."""
    rows = [bank.rows[(place + offset) % len(bank)] for offset in range(num_sources)]
    return SceneRecord(
        scene_id=str(place),
        sample_rate=SAMPLE_RATE,
        duration_s=SCENE_S,
        receiver=Receiver("foa", rows[0].receiver_m, rows[0].yaw_deg),
        room=SceneRoom(rows[0].size_m, rows[0].floor_area_m2, rows[0].volume_m3, rows[0].t30_s),
        sources=tuple(
            SceneSource(
                sound_class=clips[(place + offset) % len(clips)].name,
                azimuth_deg=row.azimuth_deg,
                elevation_deg=row.elevation_deg,
                distance_m=row.distance_m,
                position_m=row.position_m,
                rir_index=row.index,
                drr_db=row.drr_db,
                events=(SoundEvent(clips[(place + offset) % len(clips)]),),
            )
            for offset, row in enumerate(rows)
        ),
        bank=BankReference(**bank.reference),
        seed=0,
        noise=(NoiseRow("isotropic", snr_db=30.0, seed=place),) if noise else (),
    )


def render_one(scenes: Sequence[SceneRecord], bank: RirBank, clips: ClipStore, index: int) -> None:
    """One of the scenes, in turn."""
    render_scene(scenes[index % len(scenes)], bank, clips)


def bare_transforms(repeats: int) -> float:
    """Seconds of the FFTs alone that one scene needs when spectra of responses are cached."""
    padded = next_fast_len(round((SCENE_S + RESPONSE_S) * SAMPLE_RATE) - 1, real=True)
    dry = np.random.default_rng(0).standard_normal(padded, dtype=np.float32)
    wet = np.ones((4, padded // 2 + 1), dtype=np.complex64)

    def work(_: int) -> None:
        rfft(dry)
        irfft(wet, padded, axis=-1)

    return median_seconds(work, repeats)


def benchmark_scenes(folder: Path, repeats: int) -> str:
    """The first table."""
    make_bank(folder, BankSettings(num_rooms=4, sources_per_room=4, rooms_per_shard=4))
    bank = HalfSecondBank(folder)
    clips = ClipStore(None, SAMPLE_RATE)
    sounds = [procedural_clip(kind, 0, SAMPLE_RATE) for kind in ("bird", "bell", "engine", "knocking")]
    limit = bare_transforms(repeats)
    rows = [["bare FFTs of one source", f"{1e3 * limit:.2f}", f"{1 / limit:.0f}", "1.00", ""]]
    kinds = (("one source", 1, False), ("one source, noise", 1, True), ("two sources", 2, False))
    for name, num_sources, noise in kinds:
        scenes = [example_scene(bank, place, sounds, num_sources, noise) for place in range(len(bank))]
        for scene in scenes:  # fills the caches of spectra and clips
            render_scene(scene, bank, clips)
        render = partial(render_one, scenes, bank, clips)
        seconds = median_seconds(render, repeats)
        goal = ""
        if name == "one source":
            goal = f"≥ {SCENES_GOAL:.0f} {'✓' if 1 / seconds >= SCENES_GOAL else '✗'}"
        rows.append([name, f"{1e3 * seconds:.2f}", f"{1 / seconds:.0f}", f"{limit / seconds:.2f}", goal])
    header = ("scene of 4 s, FOA, 16 kHz", "ms", "scenes/s", "share of the limit", "goal")
    return table(header, rows)


def benchmark_responses(num_rooms: int) -> str:
    """The second table."""
    seconds, orders = [], []
    for number in range(num_rooms):
        generator = np.random.default_rng([1, number])
        room = sample_room(generator)
        placement = sample_placement(room, generator, 4)
        start = time.perf_counter()
        simulate_rirs(room, placement, SAMPLE_RATE, generator)
        seconds.append((time.perf_counter() - start) / 4)
        orders.append(complete_order(room))
    mean = statistics.mean(seconds)
    low, middle, high = np.quantile(seconds, [0.1, 0.5, 0.9])
    times = [f"{1e3 * value:.1f}" for value in (mean, low, middle, high)]
    row = [f"{1 / mean:.1f}", *times, f"{statistics.mean(orders):.1f}"]
    return table(("RIRs/s", "ms a RIR: mean", "10 %", "median", "90 %", "mean order of the image sources"), [row])


def benchmark_tail(num_rooms: int, longest_t60_s: float) -> str:
    """The third table."""
    rows: list[list[str]] = []
    number = 0
    while len(rows) < num_rooms:
        generator = np.random.default_rng([2, number])
        number += 1
        room = sample_room(generator)
        if not 0.2 < max(room.eyring_t60_s) <= longest_t60_s:
            continue
        placement = sample_placement(room, generator, 1)
        start = time.perf_counter()
        with_tail = simulate_rirs(room, placement, SAMPLE_RATE, generator)[0][0]
        fast = time.perf_counter() - start
        order = complete_order(room, radius_m=SPEED_OF_SOUND * max(room.eyring_t60_s) * 0.75)  # to -45 dB
        start = time.perf_counter()
        full = simulate_rirs(room, placement, SAMPLE_RATE, generator, full_order=order)[0][0]
        slow = time.perf_counter() - start
        values = [
            (measure(full, SAMPLE_RATE), measure(with_tail, SAMPLE_RATE))
            for measure in (t30_s, clarity_db, direct_to_reverberant_db)
        ]
        texts = [f"{a:.2f} → {b:.2f}" for a, b in values]
        rows.append([f"{room.floor_area_m2:.0f}", str(order), *texts, f"{slow / fast:.0f}"])
    header = ("floor m²", "full order", "T30 s: full → tail", "C50 dB", "DRR dB", "times slower")
    return table(header, rows)


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200, help="scenes of each kind")
    parser.add_argument("--rooms", type=int, default=40, help="rooms for the second table")
    parser.add_argument("--full-order-rooms", type=int, default=4, help="rooms for the third table; 0 leaves it out")
    parser.add_argument("--longest-t60", type=float, default=0.4, help="seconds; full order grows with its cube")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        print(benchmark_scenes(Path(folder) / "bank", options.repeats) + "\n")
    print(benchmark_responses(options.rooms))
    if options.full_order_rooms:
        print("\n" + benchmark_tail(options.full_order_rooms, options.longest_t60))


if __name__ == "__main__":
    main()
