"""Where clips, noises and rooms of naturalistic scenes come from: settings that recipes share, and what they open."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from spatial_audio_lm.data.clip_folders import LabelledClip, folder_clips, procedural_clips
from spatial_audio_lm.data.house_scene_rirs import HouseSceneRirs
from spatial_audio_lm.data.rir_sets import RirSetFolder, RirSetShards
from spatial_audio_lm.data.unlabelled_clips import AudioFolder, NpyShardClips
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.head_files import SPHERE, HeadStore
from spatial_audio_lm.simulation.naturalistic_sources import BankRirs, ClipSource, ListedClips, RirSource
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED, SOUND_KINDS

NOISE_KINDS = ("wind", "engine", "buzz")  # synthesised sounds that go on; the other kinds are targets


@dataclass
class ClipSources:
    """Where dry clips come from."""

    clip_folder: str | None = None  # any folder of sound files; null: synthesised sounds
    folds: list[str] | None = None  # of a clip folder with metadata.csv, by its column "fold"; null: all files
    procedural_seeds: int = 100  # synthesised clips a kind
    unseen: bool = False  # what is synthesised, clips and rooms, is what no training uses
    # the next file stands in for one of a folder that cannot be read; may change when a training is resumed
    skip_unreadable: bool = field(default=False, metadata={"may_change": True})

    def __post_init__(self) -> None:
        if not 1 <= self.procedural_seeds <= FIRST_UNSEEN_SEED:
            raise ConfigError(
                f"procedural_seeds is {self.procedural_seeds}; expected 1 to {FIRST_UNSEEN_SEED}: seeds from there on "
                "are those of unseen clips"
            )


@dataclass
class SceneSources(ClipSources):
    """Where everything in a naturalistic scene comes from; without folders all of it is synthesised."""

    noise_folder: str | None = None  # any folder of sound files; null with noise_shards null: synthesised noises
    noise_shards: str | None = None  # folder of WebDataset shards of arrays, as GRAM packs WHAM!
    noise_shards_rate: int = 32_000  # Hz of those arrays, which do not say it
    rirs: str | None = None  # folder of impulse responses; null: a small bank is made beside the output
    rir_layout: Literal["bank", "npy", "shards", "houses"] = "bank"  # see docs/how-to/naturalistic_scenes.md
    rir_scenes: str | None = None  # of "houses": the folder of the JSON files
    rir_rate: int = 32_000  # Hz of the responses of the layouts that do not say it, all but "bank"
    rir_convention: str | None = None  # of four channels, where they do not say it either: ambix, gram, ...

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise_folder is not None and self.noise_shards is not None:
            raise ConfigError("noise_folder and noise_shards are both given: noises come from one of them")
        if self.rir_convention is not None and (self.rirs is None or self.rir_layout == "bank"):
            raise ConfigError(
                f"rir_convention is {self.rir_convention!r}, but a bank says its own: leave it null, or give rirs and "
                "another rir_layout"
            )
        if (self.rir_scenes is not None) != (self.rir_layout == "houses"):
            raise ConfigError(
                f"rir_scenes is {self.rir_scenes!r}, rir_layout {self.rir_layout!r}: the folder of JSON files goes "
                "with the layout houses, and only with it"
            )


def dry_clips(sources: ClipSources, sample_rate: int, kinds: Sequence[str] = SOUND_KINDS) -> ClipSource:
    """The clips at a rate in Hz.

    Args:
        sources: see above.
        sample_rate: of what is given.
        kinds: of synthesised ones.

    Raises:
        ConfigError: folds of no folder.
        DataError: files that cannot be read, all named at once.
    """
    if sources.clip_folder is not None and sources.folds is None:
        return AudioFolder(sources.clip_folder, sample_rate, sources.skip_unreadable)
    if sources.clip_folder is not None:
        return _listed(folder_clips(sources.clip_folder, sources.folds), ClipStore(sources.clip_folder, sample_rate))
    if sources.folds is not None:
        raise ConfigError("folds are of a clip_folder with metadata.csv: give clip_folder, or leave folds null")
    first = FIRST_UNSEEN_SEED if sources.unseen else 0
    seeds = range(first, first + sources.procedural_seeds)
    return _listed(procedural_clips(kinds, seeds, sample_rate), ClipStore(None, sample_rate))


def clip_sources(sources: SceneSources, sample_rate: int) -> tuple[ClipSource, ClipSource]:
    """Targets and noises at a rate in Hz; raises what `dry_clips` does."""
    clips = dry_clips(sources, sample_rate, [kind for kind in SOUND_KINDS if kind not in NOISE_KINDS])
    if sources.noise_folder is not None:
        return clips, AudioFolder(sources.noise_folder, sample_rate, sources.skip_unreadable)
    if sources.noise_shards is not None:
        return clips, NpyShardClips(sources.noise_shards, sample_rate, sources.noise_shards_rate)
    return clips, dry_clips(replace(sources, clip_folder=None, folds=None), sample_rate, NOISE_KINDS)


def rir_source(sources: SceneSources, sample_rate: int, num_channels: int, new_bank: Path) -> RirSource:
    """The responses that scenes are rendered with.

    Args:
        sources: see above.
        sample_rate: in Hz, that a model hears.
        num_channels: 2 for two ears, 4 for ambisonics.
        new_bank: folder of the bank that is made where no responses are given.

    Raises:
        ConfigError: responses of another rate.
        ChannelError: of another number of channels.
    """
    rirs: RirSource
    if sources.rirs is None:
        two_ears: dict[str, Any] = {"receiver_format": "binaural", "heads": (HeadStore().record(SPHERE),)}
        settings = BankSettings(
            split="test" if sources.unseen else "train",
            num_rooms=8,
            sources_per_room=6,
            sample_rate=sample_rate,
            rooms_per_shard=4,
            elevations="isotropic",
            **(two_ears if num_channels == 2 else {}),
        )
        rirs = BankRirs(make_bank(new_bank, settings))
    elif sources.rir_layout == "bank":
        rirs = BankRirs(RirBank(sources.rirs))
    elif sources.rir_scenes is not None:
        rirs = HouseSceneRirs(sources.rirs, sources.rir_rate, num_channels, sources.rir_convention, sources.rir_scenes)
    else:
        layout = RirSetFolder if sources.rir_layout == "npy" else RirSetShards
        rirs = layout(sources.rirs, sources.rir_rate, num_channels, sources.rir_convention)
    if rirs.sample_rate != sample_rate:
        raise ConfigError(
            f"the responses have {rirs.sample_rate} Hz, the model hears {sample_rate} Hz: give responses of that "
            "rate, or a model that hears theirs (sampling_rate)"
        )
    return rirs


def _listed(clips: list[LabelledClip], store: ClipStore) -> ListedClips:
    return ListedClips([item.clip for item in clips], [item.sound_class for item in clips], store)
