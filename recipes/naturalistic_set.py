"""A labelled folder of naturalistic scenes, to probe encoders with: what Nat-HEAR is to HEAR.

Yuksel, van Gerven and van der Heijden, "GRAM" (2025), section 3.5: the clips of a task in rooms, with noise from one
place or several, 5 to 40 dB below. Any folder of clips with classes, in any responses:

    python recipes/naturalistic_set.py --config recipes/configs/naturalistic_set/tiny.yaml         (no data, seconds)
    python recipes/naturalistic_set.py --config recipes/configs/naturalistic_set/esc10.yaml --data DIR

Written to `output_dir`: sound files of 24 bits (only what would be clipped is scaled down: `gain` below 1), the record
of each scene beside it, from which it is rendered again bit for bit, and metadata.csv with file_name, class, fold,
azimuth_deg and elevation_deg (0 = front, positive = left and up), distance_m, snr_db, gain and clip: a folder that
`datasets` and recipes/linear_probe.py read. metadata.csv is written last: where it is, the set is whole.
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm.auto import tqdm

from spatial_audio_lm.data.clip_folders import write_metadata
from spatial_audio_lm.data.naturalistic_clips import NaturalisticClips
from spatial_audio_lm.data.scene_sources import SceneSources, clip_sources, rir_source
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.signal.spatial_audio import CHANNELS_OF_FORMAT, SpatialAudio
from spatial_audio_lm.simulation.naturalistic_records import NaturalisticRecord, NaturalisticSettings
from spatial_audio_lm.training.config import load_config

FORMATS = ("binaural", "foa")


@dataclass
class Part(SceneSources):
    """One fold of the set: its clips, and the rooms they are heard in."""

    fold: str = "1"  # its name in metadata.csv; of a clip folder the clips of this fold, unless `folds` says others
    versions: int = 1  # scenes a clip, each drawn anew


@dataclass
class Config:
    parts: list[Part] = field(default_factory=list)
    data: str | None = None  # the clip_folder of all parts that have none
    audio_format: str = "binaural"  # or foa
    sample_rate: int = 32_000
    scenes: NaturalisticSettings = field(default_factory=NaturalisticSettings)
    seed: int = 0
    output_dir: str = "runs/naturalistic_set"

    def __post_init__(self) -> None:
        names = [part.fold for part in self.parts]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"parts have the folds {names}: expected one part or more, each fold in one of them")
        if self.audio_format not in FORMATS:
            raise ConfigError(f"audio_format is {self.audio_format!r}; expected one of {', '.join(FORMATS)}")
        if min(part.versions for part in self.parts) < 1:
            raise ConfigError("versions must be 1 or more in every part")
        if self.scenes.clean_ratio:
            raise ConfigError("clean_ratio must be 0 here: a clean clip is in no direction; probe the clips themselves")


def scenes_of(part: Part, config: Config) -> NaturalisticClips:
    """The scenes of one fold, which share no random number with those of another."""
    folder = part.clip_folder or config.data
    folds = [part.fold] if folder is not None and part.folds is None else part.folds
    channels = CHANNELS_OF_FORMAT[config.audio_format]
    bank = Path(config.output_dir) / ("bank_unseen" if part.unseen else "bank")
    sources = replace(part, clip_folder=folder, folds=folds)
    rirs = rir_source(sources, config.sample_rate, channels, bank)
    seed = config.seed * len(config.parts) + config.parts.index(part)
    return NaturalisticClips(*clip_sources(sources, config.sample_rate), rirs, config.scenes, seed, channels)


def row_of(record: NaturalisticRecord, name: str, fold: str, gain: float) -> dict[str, object]:
    """A scene's line in metadata.csv."""
    assert record.rirs is not None and record.noise is not None  # no clean clips
    place = record.rirs.place
    return {
        "file_name": name,
        "class": record.sound_class,
        "fold": fold,
        "azimuth_deg": place.azimuth_deg,
        "elevation_deg": place.elevation_deg,
        "distance_m": place.distance_m,
        "snr_db": round(record.noise.snr_db, 3),
        "gain": round(gain, 6),
        "clip": record.clip.name,
    }


def main(config: Config) -> Path:
    output = Path(config.output_dir)
    parts = [(part, scenes_of(part, config)) for part in config.parts]
    (output / "metadata.csv").unlink(missing_ok=True)  # written last: a folder that has it is whole
    rows = []
    bar = tqdm(total=sum(part.versions * len(scenes) for part, scenes in parts), desc="scenes", unit="scene")
    for part, scenes in parts:
        for version in range(part.versions):
            for item in range(len(scenes)):
                record = scenes.record(version, item)
                scene = scenes.batch([(version, item)])["waveform"][0]
                gain = min(1.0, 0.99 / float(scene.abs().max()))  # what save does to a peak above 1
                name = f"audio/{part.fold}-{version}-{item:05d}"
                record.save(output / f"{name}.json")
                SpatialAudio(scene, config.sample_rate, config.audio_format).save(
                    output / f"{name}.flac", normalize=True
                )
                rows.append(row_of(record, f"{name}.flac", part.fold, gain))
                bar.update()
    write_metadata(output, rows)
    print(f"{output}: {len(rows)} scenes of {len({row['class'] for row in rows})} classes")
    return output


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
