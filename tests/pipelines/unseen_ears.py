"""Scenes that no packaged model has heard: synthesised sounds of unseen seeds, a spherical head, unseen rooms."""

from collections.abc import Iterator
from pathlib import Path

from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ClipStore, procedural_clip
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.records import SceneSource
from spatial_audio_lm.simulation.rir_bank import BankSettings, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED, SOUND_KINDS

RATE = 16_000


def unseen_scenes(
    folder: Path, seed: int, sound_seed: int, count: int
) -> Iterator[tuple[SpatialAudio, SpatialAudio, SceneSource]]:
    """Recordings of one sound each, the same with their ears exchanged, and the truth."""
    settings = BankSettings(
        split="test",
        num_rooms=10,
        sample_rate=RATE,
        receiver_format="binaural",
        seed=seed,
        elevations="isotropic",
        heads=(HeadStore().record("sphere"),),
    )
    bank = make_bank(folder, settings)
    clips = {kind: [procedural_clip(kind, FIRST_UNSEEN_SEED + sound_seed, RATE)] for kind in SOUND_KINDS}
    store = ClipStore(None, RATE)
    for index in range(count):
        record = sample_scene(SceneSettings(), bank, clips, seed=seed, index=index)
        audio = render_scene(record, bank, store)
        mirror = SpatialAudio.from_array(audio.waveform.flip(0), RATE, format="binaural")
        yield audio, mirror, record.sources[0]
