"""Naturalistic scenes: drawn as records, rendered in batches; scene k is a function of (settings, sources, seed, k)."""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from spatial_audio_lm.errors import AudioValueError, ConfigError, RecordError, SampleRateError
from spatial_audio_lm.simulation.naturalistic_mixing import level_normalised, mix, noise_in_scene
from spatial_audio_lm.simulation.naturalistic_records import (
    NaturalisticRecord,
    NaturalisticSettings,
    SceneNoise,
    SceneRirs,
)
from spatial_audio_lm.simulation.naturalistic_sources import ClipSource, RirSource
from spatial_audio_lm.simulation.records import Clip
from spatial_audio_lm.simulation.scenes import MADE_WITH

log = logging.getLogger(__name__)

MOST_DRAWS = 50  # of a noise that sounds together with the clip


def draw_naturalistic(
    settings: NaturalisticSettings, clips: ClipSource, noises: ClipSource, rirs: RirSource, seed: int, index: int
) -> NaturalisticRecord:
    """Draw scene `index`, whose clip is number `index % len(clips)`.

    A noise shorter than the scene begins at a random moment, as published, yet so that half of it, or of the clip where
    that is shorter, sounds together with the clip: after a short clip the published ratio is one to its dying echo, and
    makes the noise inaudible.

    Recordings are often padded with digital silence. Where the part of the noise that was drawn is silent, or the clip
    is while the noise sounds, noise and moment are drawn again.

    Raises:
        SampleRateError: the sources have different rates.
        AudioValueError: a clip, or a noise, in which nothing sounds, or that never sound together.
    """
    require_one_rate(clips, noises, rirs)
    generator = np.random.default_rng([seed, index])
    number = index % len(clips)
    record = NaturalisticRecord(
        scene_id=f"{seed}-{index:09d}",
        sample_rate=rirs.sample_rate,
        duration_s=settings.duration_s,
        clip=clips.clip(number),
        sound_class=clips.sound_class(number),
        snr_over=settings.snr_over,
        level_dbfs=settings.level_dbfs,
        fade_s=settings.fade_s,
        made_with=dict(MADE_WITH),
    )
    if generator.random() < settings.clean_ratio:
        return record
    rows, place = rirs.draw(generator)
    target = clips.samples(record.clip)[: record.num_samples]
    _require_sound(target, record, "clip", record.clip)
    for _ in range(MOST_DRAWS):
        noise = _draw_noise(settings, noises, generator, record, len(target))
        samples = noises.samples(noise.clip)
        _require_sound(samples, record, "noise", noise.clip)
        part = samples[noise.crop : noise.crop + record.num_samples]
        if part.any() and target[noise.begin : noise.begin + len(part)].any():
            return dataclasses.replace(record, rirs=SceneRirs(rirs.name, rirs.sha256, rows, place), noise=noise)
    raise AudioValueError(
        f"scene {record.scene_id}: in {MOST_DRAWS} draws no part of a noise sounded while the clip {record.clip.name} "
        f"did; the last was of {noise.clip.name}: leave out files that are nearly all silence"
    )


def _draw_noise(
    settings: NaturalisticSettings,
    noises: ClipSource,
    generator: np.random.Generator,
    record: NaturalisticRecord,
    sounding: int,
) -> SceneNoise:
    """One draw of a noise for a clip of so many samples."""
    clip = noises.clip(int(generator.integers(len(noises))))
    length = len(noises.samples(clip))
    latest = min(record.num_samples - length, sounding - min(length, sounding) // 2)
    return SceneNoise(
        clip=clip,
        begin=int(generator.integers(latest + 1)) if latest > 0 else 0,
        crop=int(generator.integers(max(0, length - record.num_samples) + 1)),
        snr_db=float(generator.uniform(*settings.snr_db)),
    )


def render_naturalistic(
    records: Sequence[NaturalisticRecord],
    clips: ClipSource,
    noises: ClipSource,
    rirs: RirSource,
    device: torch.device | str = "cpu",
) -> Tensor:
    """The sound of scenes of one length.

    Args:
        records: what to render.
        clips: gives the targets.
        noises: gives the noises.
        rirs: the source that the records name (checked by its digest).
        device: where convolution and mixing happen; the reading of files does not. The same bits come again on the
            same device with the same batch; on a CPU, whatever the batch.

    Returns:
        `(batch, channels, time)`, float32.

    Raises:
        RecordError: another source of responses, a changed clip, or scenes of different lengths.
        SampleRateError: sources of another rate.
        AudioValueError: a clip or noise that is silent where it is heard, NaN, or a response longer than the scene.
    """
    require_one_rate(clips, noises, rirs)
    lengths = {record.num_samples for record in records}
    if len(lengths) != 1 or {record.snr_over for record in records} != {records[0].snr_over}:
        raise RecordError(f"scenes of {sorted(lengths)} samples: a batch has one length, and one rule of levels")
    for record in records:
        _check(record, rirs)
    length = lengths.pop()
    dry = torch.stack([_target(record, clips, length) for record in records]).to(device)
    scenes = dry[:, None].repeat(1, rirs.num_channels, 1)
    mixed = [row for row, record in enumerate(records) if record.noise is not None]
    # A CPU gains nothing from a batch, and needs its memory: scene by scene.
    one_by_one = dry.device.type == "cpu"
    for rows in [[row] for row in mixed] if one_by_one else [mixed] if mixed else []:
        scenes[rows] = _mixed([records[row] for row in rows], dry[rows], noises, rirs)
    return scenes


def _mixed(records: list[NaturalisticRecord], dry: Tensor, noises: ClipSource, rirs: RirSource) -> Tensor:
    heard, spans, responses = [], [], []
    for record in records:
        assert record.noise is not None and record.rirs is not None  # by __post_init__ and the caller
        samples, crop = noises.samples(record.noise.clip), record.noise.crop
        _require_sound(samples[crop : crop + dry.shape[-1]], record, "noise", record.noise.clip)
        level = level_normalised(torch.from_numpy(samples), record.level_dbfs)
        fade = round(record.fade_s * record.sample_rate)
        heard.append(noise_in_scene(level, dry.shape[-1], record.noise.begin, crop, fade))
        spans.append((record.noise.begin, record.noise.begin + min(len(samples), dry.shape[-1])))
        responses.append([torch.from_numpy(response) for response in rirs.load(record.rirs.rows)])
        _require_short(responses[-1], record, dry.shape[-1])
    taps = max(response.shape[-1] for pair in responses for response in pair)
    both = torch.stack([torch.stack([pad(r, (0, taps - r.shape[-1])) for r in pair]) for pair in responses])
    snr_db = torch.tensor([record.noise.snr_db for record in records if record.noise is not None])
    both, noise = both.to(dry.device), torch.stack(heard).to(dry.device)
    return mix(dry, both[:, 0], noise, both[:, 1], snr_db.to(dry.device), spans, records[0].snr_over).scene


def _target(record: NaturalisticRecord, clips: ClipSource, length: int) -> Tensor:
    """The dry clip at its level; of a longer one the beginning, as published."""
    samples = clips.samples(record.clip)
    if record.noise is not None:
        _require_sound(samples[:length], record, "clip", record.clip)
    level = level_normalised(torch.from_numpy(samples), record.level_dbfs)[:length]
    return pad(level, (0, length - len(level)))


def _require_sound(samples: NDArray[np.float32], record: NaturalisticRecord, what: str, clip: Clip) -> None:
    if not samples.any():
        raise AudioValueError(
            f"scene {record.scene_id}: the {what} {clip.name} is silent in the {len(samples)} samples that are heard, "
            "and a signal-to-noise ratio is asked for: leave the file out"
        )


def _require_short(responses: Sequence[Tensor], record: NaturalisticRecord, length: int) -> None:
    taps = max(response.shape[-1] for response in responses)
    if taps > length and record.rirs is not None:
        raise AudioValueError(
            f"scene {record.scene_id}: the responses {record.rirs.rows.set_name} of {record.rirs.source} have {taps} "
            f"samples, the scene {length}; expected responses no longer than the scene: cut them, or make longer "
            "scenes (duration_s)"
        )


def _check(record: NaturalisticRecord, rirs: RirSource) -> None:
    if record.sample_rate != rirs.sample_rate:
        raise RecordError(f"scene {record.scene_id} has {record.sample_rate} Hz, the responses {rirs.sample_rate} Hz")
    if record.rirs is not None and record.rirs.sha256 != rirs.sha256:
        raise RecordError(
            f"scene {record.scene_id} was made with the responses {record.rirs.source} ({record.rirs.sha256[:12]}), "
            f"these are {rirs.name} ({rirs.sha256[:12]})"
        )
    if record.made_with and any(MADE_WITH.get(name) != made for name, made in record.made_with.items()):
        log.warning(
            "scene %s was made with %s, here is %s: its samples may differ in their last bits",
            record.scene_id, record.made_with, MADE_WITH,
        )  # fmt: skip


def require_one_rate(clips: ClipSource, noises: ClipSource, rirs: RirSource) -> None:
    """Refuses sources of different rates, and what is no source.

    Raises:
        SampleRateError: naming them.
        ConfigError: a folder, say, where the object is wanted that opens it.
    """
    for name, source in (("clips", clips), ("noises", noises), ("responses", rirs)):
        if not hasattr(source, "sample_rate"):
            raise ConfigError(
                f"{name} is a {type(source).__name__}; expected a source such as "
                f"{'BankRirs, RirSetFolder or RirSetShards' if source is rirs else 'AudioFolder or ListedClips'}: "
                "open the folder with one of those"
            )
    if not clips.sample_rate == noises.sample_rate == rirs.sample_rate:
        raise SampleRateError(
            f"clips are given at {clips.sample_rate} Hz, noises at {noises.sample_rate} Hz, responses are at "
            f"{rirs.sample_rate} Hz: clips and noises can be given at any rate, so open them with "
            f"sample_rate={rirs.sample_rate}"
        )
