"""The same bits whatever number of threads the numerical libraries use: no cache may depend on a machine's settings."""

import os
import subprocess
import sys

WORK = """
import hashlib, sys
from pathlib import Path
import torch
from spatial_audio_lm.simulation.clips import ClipStore, procedural_clip
from spatial_audio_lm.simulation.records import Head
from spatial_audio_lm.simulation.rir_bank import BankSettings, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.simulation.sounds import SOUND_KINDS

bank = make_bank(Path(sys.argv[1]), BankSettings(num_rooms=1, sample_rate=16000, rooms_per_shard=1))
clips = {kind: [procedural_clip(kind, seed, 16000) for seed in range(3)] for kind in SOUND_KINDS}
print(bank.sha256, *(clip.sha256 for several in clips.values() for clip in several))
settings = SceneSettings(num_sources=3, noise_rate=1.0, equalizer_rate=1.0, overlap_rate=1.0, speeds=(0.9, 1.1))
heads = (Head("sphere"),)
ears = BankSettings(num_rooms=2, sample_rate=16000, rooms_per_shard=1, receiver_format="binaural", heads=heads)
for bank in (bank, make_bank(Path(sys.argv[1]) / "ears", ears)):
    print(bank.sha256)
    for index in range(3):
        sound = render_scene(sample_scene(settings, bank, clips, 1, index), bank, ClipStore(None, 16000)).waveform
        print(hashlib.sha256(sound.numpy().tobytes()).hexdigest())
"""


def test_sounds_rooms_and_scenes_do_not_depend_on_the_number_of_threads(tmp_path):
    said = []
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, threads)
        command = [sys.executable, "-c", WORK, str(tmp_path / threads)]
        said.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(said[0].split()) > 40
    assert said[0] == said[1]
