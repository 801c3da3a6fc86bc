"""Simulate a bank of room impulse responses: shoebox rooms over ELSA's ranges, first-order ambisonics or binaural.

Devnani et al. (2024), section 3.2 and Table A.T.2, in pyroomacoustics (see spatial_audio_lm/simulation/rirs.py for the
method and what it leaves out). Training, validation and test rooms come from different random streams.

    accelerate launch recipes/simulate_rirs.py --config recipes/configs/simulate_rirs/tiny.yaml
    accelerate launch recipes/simulate_rirs.py --config recipes/configs/simulate_rirs/elsa_tiny.yaml
    accelerate launch recipes/simulate_rirs.py --config recipes/configs/simulate_rirs/dspast_tiny.yaml \
        --heads '[sphere, HEAD.sofa]'

The job runs over `num_processes` processes and may be killed at any moment: started again with the same settings it
makes what is missing and ends with the same bytes. Expected: about 30 ms a response and core (16 kHz, six bands).
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tqdm.auto import tqdm

from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, begin_bank, finish_bank, process_shard
from spatial_audio_lm.simulation.worker_processes import start_worker
from spatial_audio_lm.training.config import load_config


@dataclass
class Config:
    output_dir: str = "runs/banks/train"
    bank: BankSettings = field(default_factory=BankSettings)
    # Heads of a binaural bank, one drawn for each room: sphere (its radius is drawn too), sphere:0.09 (metres), or
    # SOFA and NPZ files. None: first-order ambisonics.
    heads: list[str] = field(default_factory=list)
    num_processes: int = 2


def main(config: Config) -> RirBank:
    folder, settings = Path(config.output_dir), config.bank
    heads = HeadStore(tuple(config.heads))
    if config.heads:
        records = tuple(heads.record(name) for name in config.heads)
        settings = replace(settings, receiver_format="binaural", heads=records)
    begin_bank(folder, settings)
    if (folder / "complete.json").exists():
        return RirBank(folder)
    work = partial(process_shard, settings=settings, folder=folder, heads=heads)
    shards = range(settings.num_shards)
    with ProcessPoolExecutor(config.num_processes, get_context("spawn"), start_worker) as pool:
        list(tqdm(pool.map(work, shards), total=len(shards), desc="rooms", unit="shard"))
    return finish_bank(folder, settings)


if __name__ == "__main__":
    bank = main(load_config(Config, sys.argv[1:]))
    print(f"{bank.folder}: {len(bank)} responses of {bank.settings.num_rooms} rooms, sha256 {bank.sha256}")
