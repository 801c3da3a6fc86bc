"""The recordings of a set of scenes as files, over several processes; those that are there are kept."""

from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

from tqdm.auto import tqdm

from spatial_audio_lm.question_answering.scene_recordings import SceneRecordings, recording_file
from spatial_audio_lm.simulation.rir_bank import RirBank
from spatial_audio_lm.simulation.worker_processes import start_worker

SCENES_AT_ONCE = 50


def write_recordings(
    folder: str | Path, split: str, bank_folder: str | Path, clip_folder: str | Path | None, num_processes: int = 1
) -> None:
    """Render the scenes of a split into `folder/audio`, PCM of 24 bits; may be killed and started again.

    Args:
        folder: with the records, see `scenes_file`.
        split: which of them.
        bank_folder: of the rooms of the scenes.
        clip_folder: of the dry clips; None for synthesised ones alone.
        num_processes: 1 works in this process.
    """
    recordings = SceneRecordings(folder, split, RirBank(bank_folder), clip_folder)
    starts = range(0, len(recordings.scenes), SCENES_AT_ONCE)
    with tqdm(total=len(recordings.scenes), desc="recordings", unit="scene") as progress:
        if num_processes == 1:
            for start in starts:
                progress.update(_write_some(recordings, start))
            return
        work = partial(_write_in_worker, folder, split, bank_folder, clip_folder)
        with ProcessPoolExecutor(num_processes, get_context("spawn"), start_worker) as pool:
            for count in pool.map(work, starts):
                progress.update(count)


def _write_some(recordings: SceneRecordings, first: int) -> int:
    """Some scenes from the first one on; returns how many they are, written now or before."""
    numbers = range(first, min(first + SCENES_AT_ONCE, len(recordings.scenes)))
    for number in numbers:
        path = recording_file(recordings.folder, recordings.scenes[number].scene_id)
        if not path.exists():
            recordings.recording(number).save(path)
    return len(numbers)


def _write_in_worker(
    folder: str | Path, split: str, bank_folder: str | Path, clip_folder: str | Path | None, first: int
) -> int:
    return _write_some(_opened(folder, split, bank_folder, clip_folder), first)


@lru_cache(maxsize=1)
def _opened(folder: str | Path, split: str, bank_folder: str | Path, clip_folder: str | Path | None) -> SceneRecordings:
    """The scenes, read once a worker process."""
    return SceneRecordings(folder, split, RirBank(bank_folder), clip_folder)
