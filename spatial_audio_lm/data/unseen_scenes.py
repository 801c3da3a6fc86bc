"""Scenes for measuring: dry recordings and rooms that training never met, drawn the same way for every system."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from spatial_audio_lm.data.clip_folders import LabelledClip, folder_clips, procedural_clips, read_metadata
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, begin_bank, finish_bank, process_shard
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED, SOUND_KINDS

CLIPS_PER_KIND = 40  # synthesised sounds a kind: as many as ESC-10 has recordings a class
UNSEEN_SCENES = SceneSettings(duration_s=4.0, noise_rate=1.0, snr_db=(20.0, 50.0))


def unseen_clips(
    folder: str | None, fold: int, num_scenes: int, sample_rate: int
) -> tuple[list[LabelledClip], Callable[[LabelledClip], str]]:
    """The dry clips, and a function that names the recording each was cut from.

    Args:
        folder: clips with `metadata.csv`; None: synthesised sounds with seeds that training never uses.
        fold: of the folder's clips.
        num_scenes: that are to be drawn; there need not be more synthesised clips.
        sample_rate: Hz of synthesised clips.
    """
    if folder is None:
        per_kind = min(CLIPS_PER_KIND, -(-num_scenes // len(SOUND_KINDS)))
        seeds = range(FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + per_kind)
        return procedural_clips(SOUND_KINDS, seeds, sample_rate), lambda item: f"{item.clip.name}-{item.clip.seed}"
    # clips that come from one Freesound recording are alike; where a folder does not tell, every file is its own
    source = {row["file_name"]: row.get("freesound_id", row["file_name"]) for row in read_metadata(folder)}
    return folder_clips(folder, [str(fold)]), lambda item: source[item.clip.name]


def bank_of_rooms(folder: str | None, default: Path, settings: BankSettings, heads: HeadStore | None = None) -> RirBank:
    """The bank in `folder`, or one made (or gone on with) at `default`.

    Raises:
        ConfigError: a bank of other rooms, another rate or another receiver.
    """
    if folder is not None:
        bank = RirBank(folder)
        made = bank.settings
        if (made.split == "test") != (settings.split == "test"):
            raise ConfigError(f"{folder} holds rooms of split {made.split!r}; {settings.split!r} is wanted here")
        if (made.sample_rate, made.receiver_format) != (settings.sample_rate, settings.receiver_format):
            raise ConfigError(
                f"{folder} is {made.receiver_format} at {made.sample_rate} Hz; the model hears "
                f"{settings.receiver_format} at {settings.sample_rate} Hz"
            )
        return bank
    begin_bank(default, settings)
    if (default / "complete.json").exists():
        return RirBank(default)
    for shard in tqdm(range(settings.num_shards), desc=f"{settings.split} rooms", unit=f"×{settings.rooms_per_shard}"):
        process_shard(shard, settings, default, heads)
    return finish_bank(default, settings)


def draw_scenes(
    clips: Sequence[LabelledClip], bank: RirBank, num_scenes: int, seed: int
) -> tuple[list[SceneRecord], list[LabelledClip]]:
    """The scenes, and the clip that each of them plays: classes take turns, and so do the clips of each class."""
    of_class: dict[str, list[LabelledClip]] = {}
    for item in clips:
        of_class.setdefault(item.sound_class, []).append(item)
    choices = {name: [item.clip for item in items] for name, items in of_class.items()}
    records, played = [], []
    for index in range(num_scenes):
        lap, turn = divmod(index, len(of_class))
        name = sorted(of_class)[turn]
        number = lap % len(of_class[name])
        records.append(sample_scene(UNSEEN_SCENES, bank, choices, seed, index, name, number))
        played.append(of_class[name][number])
    return records, played
