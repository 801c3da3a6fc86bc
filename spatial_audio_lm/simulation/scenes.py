"""A `SceneRecord` to sound: dry clips, convolved with the bank's responses by FFT, plus noise at its level.

The same record gives the same bits on the same machine and library versions: every random number comes from a seed in
the record, and sums are always made in one order.
"""

import logging
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from spatial_audio_lm.errors import RecordError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.binaural_rirs import diffuse_at_the_ears
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.heads import SphericalHead
from spatial_audio_lm.simulation.receivers import microphones
from spatial_audio_lm.simulation.records import NoiseRow, Receiver, SceneRecord, SceneSource
from spatial_audio_lm.simulation.rir_bank import RirBank
from spatial_audio_lm.simulation.rooms import BAND_CENTRES_HZ

# What equal bits depend on; soundfile stands for the decoder it brings.
MADE_WITH = {name: version(name) for name in ("numpy", "scipy", "torch", "soundfile", "spatial_audio_lm")}
log = logging.getLogger(__name__)

Samples = NDArray[np.float32]


def render_scene(record: SceneRecord, bank: RirBank, clips: ClipStore) -> SpatialAudio:
    """The sound of a scene.

    Args:
        record: what to render.
        bank: the bank the record names (checked by its digest).
        clips: gives the dry clips at the record's sample rate.

    Returns:
        `SpatialAudio` with `(channels, duration_s * sample_rate)` samples in the receiver's format.

    Raises:
        RecordError: another bank, another sample rate, or a clip that has changed.
    """
    if record.bank.sha256 != bank.sha256:
        raise RecordError(
            f"scene {record.scene_id} was made with the bank {record.bank.name} ({record.bank.sha256[:12]}), "
            f"this one is {bank.folder.name} ({bank.sha256[:12]})"
        )
    for name, rate in (("bank", bank.settings.sample_rate), ("clip store", clips.sample_rate)):
        if rate != record.sample_rate:
            raise RecordError(f"scene {record.scene_id} has {record.sample_rate} Hz, the {name} has {rate} Hz")
    for source in record.sources:
        _check_place(source, bank)
    if record.made_with and any(MADE_WITH.get(name) != made for name, made in record.made_with.items()):
        log.warning(
            "scene %s was made with %s, here is %s: its samples may differ in their last bits",
            record.scene_id, record.made_with, MADE_WITH,
        )  # fmt: skip
    length = round(record.duration_s * record.sample_rate)
    mixture = render_sources(record.sources, length, bank, clips)
    signal_energy = float(np.square(mixture, dtype=np.float64).sum())
    for row in record.noise:
        noise = _noise(row, mixture.shape, record.receiver, bank, clips)
        noise_energy = float(np.square(noise, dtype=np.float64).sum())
        if signal_energy == 0:  # noise alone: there is nothing to be below of, it keeps its own level
            mixture = mixture + noise
        elif noise_energy > 0:
            mixture = mixture + noise * np.float32(np.sqrt(signal_energy / noise_energy) * 10 ** (-row.snr_db / 20))
    if record.peak is not None and (largest := float(np.abs(mixture).max())) > 0:
        mixture = mixture * np.float32(record.peak / largest)
    return SpatialAudio.from_array(torch.from_numpy(mixture), record.sample_rate, format=record.receiver.format)


def render_sources(sources: tuple[SceneSource, ...], length: int, bank: RirBank, clips: ClipStore) -> Samples:
    """Sources convolved with their responses and summed, `(channels, length)`: one inverse FFT for all of them."""
    if not sources:
        return np.zeros((len(microphones(bank.settings.receiver_format)), length), dtype=np.float32)
    longest = max(bank.rir(s.rir_index).shape[-1] for s in sources)
    padded = next_fast_len(length + longest - 1, real=True)
    total: NDArray[np.complex64] | None = None
    for source in sources:
        spectrum = rfft(dry_signal(source, length, clips), padded)
        if source.equalizer_db:
            spectrum *= _equalizer(source.equalizer_db, padded, clips.sample_rate)
        wet = bank.spectrum(source.rir_index, padded) * spectrum
        total = wet if total is None else total + wet
    return irfft(total, padded, axis=-1)[:, :length]


def _check_place(source: SceneSource, bank: RirBank) -> None:
    """A record is the answer key too: what it says of a place must be what its response was made for."""
    row = bank.rows[source.rir_index] if 0 <= source.rir_index < len(bank.rows) else None
    for name in ("azimuth_deg", "elevation_deg", "distance_m"):
        if row is None or abs(getattr(row, name) - getattr(source, name)) > 1e-6:
            raise RecordError(
                f"source {source.sound_class!r} says {name} {getattr(source, name)}, response {source.rir_index} has "
                f"{None if row is None else getattr(row, name)}: the record was changed, or is of another bank"
            )


def dry_signal(source: SceneSource, length: int, clips: ClipStore) -> Samples:
    """What the source plays, `(length,)`, before the room."""
    signal = np.zeros(length, dtype=np.float32)
    for event in source.events:
        start = round(event.onset_s * clips.sample_rate)
        samples = clips.samples(event.clip)[max(0, -start) :]
        start = max(0, start)
        samples = samples[: max(0, length - start)]
        signal[start : start + len(samples)] += samples * np.float32(10 ** ((event.gain_db + source.gain_db) / 20))
    return signal


def _equalizer(gains_db: tuple[float, ...], padded: int, sample_rate: int) -> Samples:
    if len(gains_db) != len(BAND_CENTRES_HZ):
        raise RecordError(f"an equalizer has gains at {BAND_CENTRES_HZ} Hz, got {len(gains_db)} of them")
    octave = np.log2(np.maximum(rfftfreq(padded, 1 / sample_rate), 1.0))
    return (10 ** (np.interp(octave, np.log2(BAND_CENTRES_HZ), gains_db) / 20)).astype(np.float32)


def _noise(row: NoiseRow, shape: tuple[int, ...], receiver: Receiver, bank: RirBank, clips: ClipStore) -> Samples:
    if row.kind == "placed":
        if not row.sources:
            raise RecordError("placed noise needs sources")
        return render_sources(row.sources, shape[-1], bank, clips)
    noise = np.random.default_rng(row.seed).standard_normal(shape, dtype=np.float32)
    if row.color == "pink":
        padded = next_fast_len(shape[-1], real=True)
        frequency = np.maximum(rfftfreq(padded, 1 / clips.sample_rate), 20.0)
        noise = irfft(rfft(noise, padded, axis=-1) / np.sqrt(frequency).astype(np.float32), padded, axis=-1)
        noise = noise[:, : shape[-1]]
    if row.kind == "isotropic" and receiver.format == "foa":
        noise[1:] *= np.float32(np.sqrt(1 / 3))  # SN3D dipoles of an isotropic field
    elif row.kind == "isotropic" and receiver.format == "binaural":
        # As alike at the two ears as a sphere makes it, also for a measured head: its file need not be here.
        radius = receiver.head.radius_m if receiver.head is not None else None
        head = SphericalHead() if radius is None else SphericalHead(radius)
        noise = diffuse_at_the_ears(noise.astype(np.float64), head, clips.sample_rate).astype(np.float32)
    return noise
