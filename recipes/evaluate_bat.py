"""Measure BAT: questions of all five types about sounds and rooms it has never met, beside what needs no hearing.

Unseen dry recordings (ESC-10 fold 4; without it, sounds synthesised from seeds that training never uses) are placed in
unseen simulated rooms, one sound or two, and each scene is asked every type of question that it allows once.
The same questions are asked with the recording taken away: silence, both ears alike, ears exchanged, no recording.

    python recipes/evaluate_bat.py --config recipes/configs/evaluate_bat/tiny.yaml --checkpoint DIR
    python recipes/evaluate_bat.py --config recipes/configs/evaluate_bat/bat_tiny.yaml --checkpoint DIR --data DIR \
        --heads '[KEMAR.sofa, SADIE.npz]'
    ... --questions DIR --split eval   (a folder that recipes/make_spatial_qa.py made, in place of scenes drawn here)

The measures are those of BAT and DSpAST (metrics/question_answering.py), each with its 95 % interval and its chance.
With the ears exchanged, `turned over` is the score against the answers that are true then. Written to `output_dir`:
table.md, results.json and answers.jsonl (every question with its answers).
"""

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from spatial_audio_lm.data.clip_folders import folder_clips, procedural_clips
from spatial_audio_lm.data.unseen_scenes import CLIPS_PER_KIND, UNSEEN_SCENES, bank_of_rooms
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import write_json, write_whole
from spatial_audio_lm.language.answers import write_place
from spatial_audio_lm.language.question_types import QUESTION_TYPES
from spatial_audio_lm.language.sound_names import answer_name
from spatial_audio_lm.metrics.question_answering import AnsweredQuestions, question_measures
from spatial_audio_lm.metrics.report import Measure, markdown_table, model_index, with_goals
from spatial_audio_lm.metrics.sentence_embeddings import SentenceEmbedder
from spatial_audio_lm.models.bat.audio_tokens_bat import named_audio_inputs
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.bat.processing_bat import BatProcessor
from spatial_audio_lm.models.checkpoints import checkpoint_folder
from spatial_audio_lm.question_answering.controls import CONTROLS, control, mirrored_answer
from spatial_audio_lm.question_answering.generation import SceneQuestions
from spatial_audio_lm.question_answering.question_files import read_evaluation_questions
from spatial_audio_lm.question_answering.question_settings import QuestionSettings
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.question_answering.scene_drawing import draw_scene
from spatial_audio_lm.question_answering.scene_facts import Margins, placed_sounds
from spatial_audio_lm.question_answering.scene_recordings import SceneRecordings, scenes_file, write_scenes
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.head_files import SPHERE, HeadStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED, SOUND_KINDS
from spatial_audio_lm.training.config import load_config

# What bat-tiny has to reach on unseen clips in unseen rooms; the distance error is to be read beside its chance.
GOALS = {
    "A_sounds_named": 0.70,
    "B_direction_accuracy": 0.55,
    "B_left_right_accuracy": 0.95,
    "D_direction_accuracy": 0.35,
    "E_accuracy": 0.65,
}
DISTANCE_GOAL = 0.65  # of its chance, for B
HEARD = "heard"
FOLDERS = ("checkpoint", "data", "test_bank", "questions", "heads", "output_dir")  # of this machine: not in the results


@dataclass(frozen=True)
class Config:
    """Settings of the evaluation."""

    checkpoint: str = "bat-tiny"  # a packaged name, or a folder written by save_pretrained
    name: str | None = None  # of the model in results.json; the checkpoint's folder name where not given
    language_model: str | None = None  # where a foreign language model lies, if not where the checkpoint says
    data: str | None = None  # folder with ESC-10; none: synthesised sounds alone
    fold: int = 4
    num_scenes: int = 800
    two_source_rate: float = 0.5
    num_rooms: int = 200  # unseen ones
    heads: list[str] = field(default_factory=lambda: [SPHERE])  # of the rooms: see recipes/simulate_rirs.py
    test_bank: str | None = None  # folder of a finished binaural bank of split "test"; none: made below output_dir
    questions: str | None = None  # folder of recipes/make_spatial_qa.py with split eval; none: scenes are drawn here
    forms: str = "train"  # or heldout: wordings that training never showed
    controls: list[str] = field(default_factory=lambda: list(CONTROLS))
    num_beams: int = 1  # published: 4; 1 is greedy
    max_new_tokens: int = 32
    embedder: str | None = None  # a sentence encoder for the average precision of A and C; none: without it
    batch_size: int = 32
    seed: int = 0
    output_dir: str = "runs/evaluate_bat"

    def __post_init__(self) -> None:
        if min(self.num_scenes, self.num_rooms, self.num_beams, self.max_new_tokens, self.batch_size) < 1:
            raise ConfigError(
                f"num_scenes, num_rooms, num_beams, max_new_tokens and batch_size must be at least 1; got {self}"
            )
        for name in self.controls:
            control(name)


def unseen_scenes(config: Config, rate: int) -> SceneRecordings:
    """The scenes: of the folder that was given, or drawn and written to `output_dir`."""
    if config.questions is not None:
        bank = None if config.test_bank is None else RirBank(config.test_bank)
        return SceneRecordings(config.questions, "eval", bank, config.data)
    heads = HeadStore(tuple(config.heads))
    settings = BankSettings(
        split="test",
        num_rooms=config.num_rooms,
        sample_rate=rate,
        rooms_per_shard=10,
        seed=config.seed,
        receiver_format="binaural",
        elevations="isotropic",
        heads=tuple(heads.record(name) for name in config.heads),
    )
    output_dir = Path(config.output_dir)
    default = output_dir / f"rooms-test-{config.num_rooms}-{rate}-{config.seed}"
    rooms = bank_of_rooms(config.test_bank, default, settings, heads)
    if config.data is not None:
        clips = folder_clips(config.data, [str(config.fold)])
    else:
        seeds = range(FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + min(CLIPS_PER_KIND, config.num_scenes))
        clips = procedural_clips(SOUND_KINDS, seeds, rate)
    of_class: dict[str, list[Any]] = {}
    for item in clips:
        of_class.setdefault(item.sound_class, []).append(item.clip)
    drawn = replace(UNSEEN_SCENES, num_sources=2)
    scenes = [
        draw_scene(drawn, config.two_source_rate, rooms, of_class, config.seed, index)
        for index in range(config.num_scenes)
    ]
    write_scenes(scenes_file(output_dir, "eval"), scenes)
    return SceneRecordings(output_dir, "eval", rooms, config.data)


def questions_of(config: Config, scenes: Sequence[SceneRecord]) -> list[SpatialQuestion]:
    """Those of the folder, or each type once for every scene that allows it."""
    if config.questions is not None:
        return read_evaluation_questions(config.questions)
    made = SceneQuestions(scenes, QuestionSettings(forms=config.forms), config.seed, len(QUESTION_TYPES))
    asked = [
        made.of_type(name, turn * len(scenes) + number)
        for number in range(len(scenes))
        for turn, name in enumerate(QUESTION_TYPES)
    ]
    return [question for question in asked if question is not None]


class Listener:
    """Answers questions about one recording after another; a recording is heard once for all its questions."""

    def __init__(self, model: PreTrainedModel, processor: BatProcessor, config: Config):
        self.model, self.processor, self.config = model, processor, config

    @torch.inference_mode()
    def embeds(self, recordings: Sequence[SpatialAudio]) -> Any:
        """What the recordings become, `(recordings, queries, width)`."""
        heard = named_audio_inputs(self.processor.feature_extractor(list(recordings)))
        return self.model.get_audio_features(**heard, return_dict=True).pooler_output

    @torch.inference_mode()
    def answers(self, questions: Sequence[str], embeds: Any) -> list[str]:
        """The answers to some questions, each with its recording's embeddings; None: without a recording."""
        inputs = self.processor.tokenize_questions(list(questions), with_audio=embeds is not None)
        generated = self.model.generate(
            **inputs,
            audio_embeds=embeds,
            num_beams=self.config.num_beams,
            max_new_tokens=self.config.max_new_tokens,
        )
        return self.processor.decode_answers(generated, inputs["input_ids"])


def answer_all(
    listener: Listener, scenes: SceneRecordings, questions: Sequence[SpatialQuestion], config: Config
) -> dict[str, list[str]]:
    """The answers to all questions, as heard and under each control."""
    changes = {HEARD: None} | {name: CONTROLS[name] for name in config.controls}
    answers: dict[str, list[str]] = {name: [""] * len(questions) for name in changes}
    order = sorted(range(len(questions)), key=lambda index: scenes.number_of(questions[index]))
    for start in tqdm(range(0, len(order), config.batch_size), desc="questions", unit="batch"):
        rows = order[start : start + config.batch_size]
        numbers = [scenes.number_of(questions[row]) for row in rows]
        different = sorted(set(numbers))
        recordings = [scenes.recording(number) for number in different]
        for name, change in changes.items():
            embeds = None
            if name != "text_only":
                changed = recordings if change is None else [change(recording) for recording in recordings]
                heard = listener.embeds(changed)
                embeds = heard[[different.index(number) for number in numbers]]
            texts = listener.answers([questions[row].question for row in rows], embeds)
            for row, text in zip(rows, texts, strict=True):
                answers[name][row] = text
    return answers


def measures_of(
    questions: Sequence[SpatialQuestion],
    truth: Sequence[str | None],
    answers: Sequence[str],
    names: Sequence[str],
    is_clear: Sequence[bool],
    embedder: SentenceEmbedder | None,
) -> list[Measure]:
    """The measures of the questions that have a true answer."""
    known = [index for index, text in enumerate(truth) if text is not None]
    items = AnsweredQuestions(
        [questions[index].question_type for index in known],
        [truth[index] or "" for index in known],
        [answers[index] for index in known],
        names,
        [questions[index].scene_id for index in known],
        [is_clear[index] for index in known],
    )
    return question_measures(items, embedder)


def asks_for_a_clear_place(question: SpatialQuestion, scene: SceneRecord) -> bool:
    """Whether the place that is the answer lies clearly to one side of every plane; False if the answer is no place."""
    meant = [
        sound
        for sound in placed_sounds(scene)
        if write_place(sound.azimuth_deg, sound.elevation_deg, sound.distance_m) == question.answer
    ]
    return bool(meant) and all(sound.is_clear(Margins()) for sound in meant)


def controls_table(rows: dict[str, list[Measure]]) -> str:
    """Every measure as heard, by chance, and under each control."""
    columns = {name: {measure.key: measure for measure in measures} for name, measures in rows.items()}
    lines = [
        "| measure | " + " | ".join([HEARD, "chance", *[name for name in rows if name != HEARD]]) + " |",
        "|---" * (len(rows) + 2) + "|",
    ]
    for measure in rows[HEARD]:
        chance = measure.beside.get("chance")
        others = [columns[name].get(measure.key) for name in rows if name != HEARD]
        cells = [measure.text(measure.value), "–" if chance is None else measure.text(chance)]
        cells += ["–" if other is None else other.text(other.value) for other in others]
        lines.append("| " + " | ".join([measure.name, *cells]) + " |")
    return "\n".join(lines) + "\n"


def main(config: Config) -> dict[str, list[Measure]]:
    """Draw, listen, answer, measure, and write; returns the measures as heard and under each control."""
    output_dir = Path(config.output_dir)
    folder = checkpoint_folder(config.checkpoint)
    language = {} if config.language_model is None else {"language_model": config.language_model}
    model = BatForConditionalGeneration.from_pretrained(folder, **language).eval()
    processor = BatProcessor.from_pretrained(folder)
    scenes = unseen_scenes(config, processor.feature_extractor.sampling_rate)
    questions = questions_of(config, scenes.scenes)
    answers = answer_all(Listener(model, processor, config), scenes, questions, config)

    embedder = None if config.embedder is None else SentenceEmbedder(config.embedder)
    sounding = {source.sound_class for scene in scenes.scenes for source in scene.sources}
    names = sorted(answer_name(name) for name in sounding)
    truth: list[str | None] = [question.answer for question in questions]
    clear = [asks_for_a_clear_place(question, scenes.scenes[scenes.number_of(question)]) for question in questions]
    rows = {name: measures_of(questions, truth, said, names, clear, embedder) for name, said in answers.items()}
    if "swapped" in answers:
        turned = [mirrored_answer(question) for question in questions]
        rows["swapped, turned over"] = measures_of(questions, turned, answers["swapped"], names, clear, embedder)
    if config.data is not None:  # goals are for recorded sounds
        goals = dict(GOALS)
        for measure in rows[HEARD]:
            if measure.key == "B_distance_error_rate":
                goals[measure.key] = DISTANCE_GOAL * measure.beside["chance"]
        rows[HEARD] = with_goals(rows[HEARD], goals)

    name = config.name or folder.name
    sounds = "synthesised sounds" if config.data is None else f"ESC-10 (fold {config.fold})"
    title = f"# {name}: {len(questions)} questions about {len(scenes.scenes)} scenes, {sounds}, unseen rooms\n"
    decoding = "greedy" if config.num_beams == 1 else f"{config.num_beams} beams"
    table = "\n".join(
        [title, f"Answers: {decoding}.\n", markdown_table(rows[HEARD]), "## Controls\n", controls_table(rows)]
    )
    write_whole(output_dir / "table.md", table.encode())
    lines = [
        json.dumps(question.to_dict() | {"answers": {kind: said[row] for kind, said in answers.items()}}) + "\n"
        for row, question in enumerate(questions)
    ]
    write_whole(output_dir / "answers.jsonl", "".join(lines).encode())
    results = {
        "model-index": model_index(
            rows[HEARD], name, "question-answering", "Spatial questions", "spatial-questions", "eval"
        ),
        "measures": {kind: [measure.to_dict() for measure in measures] for kind, measures in rows.items()},
        "settings": {key: value for key, value in asdict(config).items() if key not in FOLDERS} | {"name": name},
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "scipy", "torch", "transformers")},
    }
    write_json(output_dir / "results.json", results)
    print(table)
    return rows


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
