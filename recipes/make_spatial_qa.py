"""Make questions about spatial scenes, in SpatialSoundQA's layout: scenes, questions, answers, recordings, data card.

Zheng et al., "BAT" (2024), section 3.2 (the types of questions); the wordings are this toolkit's own, and answers come
from the geometry of the scenes. Scenes of one sound are asked what and where it is (A, B), those of two what is at a
place, where one of them is, and how they stand to each other (C, D, E). Training draws types and wordings; for the
evaluation every scene is asked each type that it allows once.

    python recipes/make_spatial_qa.py --config recipes/configs/make_spatial_qa/tiny.yaml           (no data, seconds)
    python recipes/make_spatial_qa.py --config recipes/configs/make_spatial_qa/bat_tiny.yaml --clip_folder DIR
    python recipes/make_spatial_qa.py --config recipes/configs/make_spatial_qa/bat_tiny_eval.yaml --clip_folder DIR

Written to `output_dir`: closed-end/ (question files), scenes/<split>.jsonl (one `SceneRecord` a line, from which a
recording is rendered bit for bit), audio/ (with `audio: true`), <split>.summary.json and README.md (a data card with
the balance of the answers). Both splits may lie in one folder. The job may be killed and started again with the same
settings: recordings that are there are kept, and the bytes are the same.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tqdm.auto import tqdm

from spatial_audio_lm.data.clip_folders import (
    LabelledClip,
    clips_digest,
    folder_clips,
    procedural_clips,
    read_metadata,
)
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.files import read_json, remove_unfinished, write_json, write_whole
from spatial_audio_lm.language.question_types import QUESTION_TYPES
from spatial_audio_lm.question_answering.balance import answer_balance, balance_table
from spatial_audio_lm.question_answering.data_card import question_set_card
from spatial_audio_lm.question_answering.generation import SceneQuestions
from spatial_audio_lm.question_answering.question_files import write_evaluation_questions, write_training_questions
from spatial_audio_lm.question_answering.question_settings import QuestionSettings
from spatial_audio_lm.question_answering.recording_files import write_recordings
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.question_answering.scene_drawing import draw_scene
from spatial_audio_lm.question_answering.scene_recordings import scenes_file, write_scenes
from spatial_audio_lm.simulation.head_files import SPHERE, HeadStore
from spatial_audio_lm.simulation.records import Clip, SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED, SOUND_KINDS
from spatial_audio_lm.training.config import load_config

SPLITS: dict[str, Literal["train", "test"]] = {"train": "train", "eval": "test"}  # of questions: the split of the rooms


@dataclass
class Config:
    output_dir: str = "runs/spatial_qa"
    split: str = "train"  # or eval: files of evaluation, unseen rooms and synthesised sounds
    bank: str | None = None  # folder of a finished bank (recipes/simulate_rirs.py); none: made below output_dir
    rooms: BankSettings = field(default_factory=lambda: BankSettings(num_rooms=100, elevations="isotropic"))
    heads: list[str] = field(default_factory=lambda: [SPHERE])  # of rooms made here; none: first-order ambisonics
    clip_folder: str | None = None  # with metadata.csv; none: synthesised sounds alone
    folds: list[str] | None = None  # of the folder's clips; none: all
    licences: list[str] | None = None  # likewise
    procedural_seeds: int = 20  # synthesised sounds a kind; 0: none
    num_scenes: int = 1000
    two_source_rate: float = 0.5
    scenes: SceneSettings = field(default_factory=lambda: SceneSettings(num_sources=2))
    questions: QuestionSettings = field(default_factory=QuestionSettings)
    questions_per_scene: int = 4  # of the training
    audio: bool = False  # write the recordings too; they can be rendered from the records at any time
    seed: int = 0
    num_processes: int = 2

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ConfigError(f"split is {self.split!r}; expected one of {', '.join(SPLITS)}")
        if min(self.num_scenes, self.questions_per_scene, self.num_processes) < 1 or self.procedural_seeds < 0:
            raise ConfigError(
                "num_scenes, questions_per_scene and num_processes must be at least 1, procedural_seeds at least 0"
            )
        if self.scenes.num_sources < 2 and self.two_source_rate > 0:
            raise ConfigError("scenes.num_sources is 1; it is that of scenes with more than one sound: 2 or more")


def rooms_of(config: Config) -> RirBank:
    """The bank that was given, or one made of `rooms` and `heads`."""
    split = SPLITS[config.split]
    if config.bank is not None:
        bank = RirBank(config.bank)
        if (bank.settings.split == "test") != (split == "test"):
            raise ConfigError(f"{config.bank} holds rooms of split {bank.settings.split!r}; {split!r} is wanted here")
        return bank
    heads = HeadStore(tuple(config.heads))
    settings = replace(config.rooms, split=split)
    if config.heads:
        records = tuple(heads.record(name) for name in config.heads)
        settings = replace(settings, receiver_format="binaural", heads=records)
    return make_bank(Path(config.output_dir) / f"rooms-{config.split}", settings, heads)


def clips_of(config: Config, sample_rate: int) -> list[LabelledClip]:
    """Recorded and synthesised clips; those of the evaluation are synthesised with seeds that no training draws."""
    first = FIRST_UNSEEN_SEED if config.split == "eval" else 0
    clips = procedural_clips(SOUND_KINDS, range(first, first + config.procedural_seeds), sample_rate)
    if config.clip_folder is not None:
        clips += folder_clips(config.clip_folder, config.folds, config.licences)
    return clips


def begin(config: Config, bank: RirBank, clips: list[LabelledClip]) -> None:
    """Write down what is made, or check that the folder was begun with the same.

    Raises:
        DataError: the folder holds a split made otherwise.
    """
    path = Path(config.output_dir) / f"{config.split}.plan.json"
    parts = {
        "bank": bank.sha256,
        "clips": clips_digest(clips),
        "scenes": asdict(config.scenes),
        "questions": asdict(config.questions),
        "numbers": [config.num_scenes, config.two_source_rate, config.questions_per_scene, config.seed],
    }
    plan = json.loads(json.dumps(parts))  # tuples as they come back from the file
    if not path.exists():
        write_json(path, plan)
        return
    remove_unfinished(path.parent)
    found = read_json(path, error=DataError)
    if different := [name for name in plan if found.get(name) != plan[name]]:
        raise DataError(
            f"{path} was begun with other {', '.join(different)}: give the same settings, or another output_dir"
        )


def questions_of(config: Config, scenes: Sequence[SceneRecord]) -> list[SpatialQuestion]:
    """Questions of the training by weights; for the evaluation each type once where a scene allows it."""
    if config.split == "train":
        return list(SceneQuestions(scenes, config.questions, config.seed, config.questions_per_scene))
    wanted = [name for name in QUESTION_TYPES if config.questions.weights.get(name, 0) > 0]
    questions = SceneQuestions(scenes, config.questions, config.seed, len(wanted))
    made = [
        questions.of_type(name, turn * len(scenes) + number)
        for number in range(len(scenes))
        for turn, name in enumerate(wanted)
    ]
    return [question for question in made if question is not None]


def licences_of(config: Config, scenes: Sequence[SceneRecord]) -> dict[str, int]:
    """How many different clips of each licence the scenes play."""
    licence: dict[str, str] = {}
    if config.clip_folder is not None:
        rows = read_metadata(config.clip_folder)
        licence = {row["file_name"]: row.get("licence", "not stated") for row in rows}
    played = {event.clip for scene in scenes for source in scene.sources for event in source.events}
    different = {(clip.kind, clip.name, clip.seed) for clip in played}
    return dict(Counter("synthesised" if kind == "procedural" else licence[name] for kind, name, _ in different))


def clips_in_words(config: Config, clips: Sequence[LabelledClip]) -> str:
    recorded = sum(item.clip.kind == "file" for item in clips)
    words = [f"{len(clips) - recorded} synthesised sounds"] if recorded < len(clips) else []
    if recorded:
        folds = "all folds" if config.folds is None else f"folds {', '.join(config.folds)}"
        words.append(f"{recorded} recorded clips ({folds})")
    return " and ".join(words)


def main(config: Config) -> dict[str, Any]:
    if config.clip_folder is None and config.procedural_seeds == 0:
        raise ConfigError("no clip_folder, and procedural_seeds is 0: there is nothing to be heard")
    folder = Path(config.output_dir)
    bank = rooms_of(config)
    clips = clips_of(config, bank.settings.sample_rate)
    begin(config, bank, clips)
    by_class: dict[str, list[Clip]] = {}
    for item in clips:
        by_class.setdefault(item.sound_class, []).append(item.clip)
    scenes = [
        draw_scene(config.scenes, config.two_source_rate, bank, by_class, config.seed, index)
        for index in tqdm(range(config.num_scenes), desc="scenes", unit="scene")
    ]
    write_scenes(scenes_file(folder, config.split), scenes)
    if config.audio:
        write_recordings(folder, config.split, bank.folder, config.clip_folder, config.num_processes)
    questions = questions_of(config, scenes)
    write = write_training_questions if config.split == "train" else write_evaluation_questions
    files = write(folder, questions)
    balances = answer_balance(questions)
    summary = {
        "scenes": len(scenes),
        "questions": len(questions),
        "files": [path.relative_to(folder).as_posix() for path in files],
        "duration_s": config.scenes.duration_s,
        "sample_rate": bank.settings.sample_rate,
        "format": bank.settings.receiver_format,
        "audio": config.audio,
        "clips": clips_in_words(config, clips),
        "licences": licences_of(config, scenes),
        "rooms": bank.settings.split,
        "bank": f"{bank.settings.num_rooms} rooms, SHA-256 {bank.sha256}",
        "balance": {name: balance.to_dict() for name, balance in balances.items()},
    }
    write_json(folder / f"{config.split}.summary.json", summary)
    found = {split: folder / f"{split}.summary.json" for split in SPLITS}
    summaries = {split: read_json(path, error=DataError) for split, path in found.items() if path.is_file()}
    write_whole(folder / "README.md", question_set_card(summaries).encode("utf-8"))
    print(f"{folder}: {len(questions)} questions about {len(scenes)} scenes\n\n{balance_table(balances)}")
    return summary


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
