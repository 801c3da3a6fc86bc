"""Measure a captioner: what it says of sounds and rooms it has never met, beside captions that never listened.

Unseen dry recordings (ESC-10 fold 4, or synthesised sounds with seeds that training never uses) are placed in unseen
simulated rooms, one sound a scene, and the model captions each. Captions are read back: is the sound right, is the
direction word, are distance, elevation and room (metrics/spatial_captions.py)? And they are compared with several
template captions that are true of the scene (BLEU, ROUGE-L, CIDEr-D, with the extra `eval`).

    python recipes/evaluate_captioner.py --config recipes/configs/evaluate_captioner/tiny.yaml --checkpoint DIR
    python recipes/evaluate_captioner.py --config recipes/configs/evaluate_captioner/captioner_tiny.yaml \
        --checkpoint DIR --data DIR        (ESC-10 in the layout of data_cards/esc10.md)

Beside the model's own captions stand: the same with the recordings exchanged among the scenes (shuffled audio); one
caption of the words that are true most often, always the same (most frequent); a template caption of what is true of
another scene (random facts); and one of what is true of this scene (true facts), which is what the references leave to
be reached. Written to `output_dir`: table.md, results.json and captions.jsonl.
"""

import json
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from spatial_audio_lm.data.unseen_scenes import bank_of_rooms, draw_scenes, unseen_clips
from spatial_audio_lm.errors import ConfigError, MissingExtraError
from spatial_audio_lm.files import write_json, write_whole
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes, spatial_attributes
from spatial_audio_lm.language.sound_names import answer_name
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.metrics.captioning import SCORES, caption_measures
from spatial_audio_lm.metrics.report import Measure, markdown_table, model_index, with_goals
from spatial_audio_lm.metrics.spatial_captions import CaptionFacts, spatial_caption_measures
from spatial_audio_lm.models.checkpoints import checkpoint_folder
from spatial_audio_lm.pipelines.captioning import RecordingCaptioner
from spatial_audio_lm.pipelines.hearing import format_heard
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.head_files import SPHERE, HeadStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.training.config import load_config

# What captioner-tiny has to reach on unseen clips in unseen rooms.
GOALS = {"direction_right": 0.80, "sound_right": 0.60}
HEARD = "heard"
RESAMPLES = 1000  # of the intervals
FOLDERS = ("checkpoint", "data", "test_bank", "heads", "output_dir")  # of this machine: not in the results


@dataclass(frozen=True)
class Config:
    """Settings of the evaluation."""

    checkpoint: str = "captioner-tiny"  # a packaged name, or a folder written by save_pretrained
    name: str | None = None  # of the model in results.json; the checkpoint's folder name where not given
    data: str | None = None  # folder with ESC-10; none: synthesised sounds
    fold: int = 4
    num_scenes: int = 1000
    num_rooms: int = 250  # unseen ones, four source places each
    heads: list[str] = field(default_factory=lambda: [SPHERE])  # of the rooms, for an ear of two
    test_bank: str | None = None  # folder of a finished bank of split "test"; none: made below output_dir
    num_references: int = 5  # template captions a scene
    scores: list[str] = field(default_factory=lambda: list(SCORES))  # of metrics/captioning.py
    num_beams: int = 1  # 1 is greedy
    max_new_tokens: int | None = None  # of a caption; null: 96, or what the language model has positions for
    batch_size: int = 32
    seed: int = 0
    output_dir: str = "runs/evaluate_captioner"

    def __post_init__(self) -> None:
        if min(self.num_rooms, self.num_references, self.num_beams, self.batch_size) < 1:
            raise ConfigError(f"num_rooms, num_references, num_beams and batch_size must be at least 1; got {self}")
        if self.num_scenes < 2:
            raise ConfigError(f"num_scenes is {self.num_scenes}; expected at least 2: scores compare several captions")


def unseen_rooms(config: Config, captioner: RecordingCaptioner) -> RirBank:
    """Rooms heard by the kind of ear that the model has.

    Raises:
        ConfigError: an ear that hears no place.
    """
    heard = format_heard(captioner.model.config.audio_config.model_type, captioner.processor.feature_extractor)
    if heard not in ("foa", "binaural"):
        raise ConfigError(f"the ear of {config.checkpoint} hears {heard}: there is no place to be right about")
    heads = HeadStore(tuple(config.heads)) if heard == "binaural" else None
    settings = BankSettings(
        split="test",
        num_rooms=config.num_rooms,
        sample_rate=captioner.sample_rate,
        rooms_per_shard=10,
        seed=config.seed,
        receiver_format=heard,
        heads=() if heads is None else tuple(heads.record(name) for name in config.heads),
    )
    folder = Path(config.output_dir) / f"rooms-{heard}-{config.num_rooms}-{captioner.sample_rate}-{config.seed}"
    return bank_of_rooms(config.test_bank, folder, settings, heads)


@torch.inference_mode()
def listen(
    captioner: RecordingCaptioner, records: Sequence[SceneRecord], bank: RirBank, store: ClipStore, config: Config
) -> list[str]:
    """Render every scene, and let the model caption it."""
    captions: list[str] = []
    longest = captioner.allowed_tokens(config.max_new_tokens)
    with tqdm(total=len(records), desc="scenes", unit="scene") as progress:
        for start in range(0, len(records), config.batch_size):
            sounds = [render_scene(record, bank, store) for record in records[start : start + config.batch_size]]
            said = captioner.model.generate(
                **captioner.processor(sounds), num_beams=config.num_beams, max_new_tokens=longest
            )
            captions += captioner.processor.decode_captions(said)
            progress.update(len(sounds))
    return captions


def attributes_of(record: SceneRecord) -> SpatialAttributes:
    """All that ELSA's table has a word for."""
    source, room = record.sources[0], record.room
    return spatial_attributes(
        source.azimuth_deg, source.elevation_deg, source.distance_m, room.floor_area_m2, room.t30_s
    )


def most_frequent(sounds: Sequence[str], attributes: Sequence[SpatialAttributes]) -> tuple[str, SpatialAttributes]:
    """The class and the words that are true most often; of an attribute no word where none is the commonest."""

    def commonest(values: Sequence[Any]) -> Any:
        return sorted(Counter(values).items(), key=lambda pair: (-pair[1], str(pair[0])))[0][0]

    words = {name: commonest([getattr(said, name) for said in attributes]) for name in ATTRIBUTE_WORDS}
    return commonest(sounds), SpatialAttributes(**words)


def beside(
    captions: Sequence[str], sounds: Sequence[str], attributes: Sequence[SpatialAttributes], seed: int
) -> dict[str, list[str]]:
    """The captions that the model's own are compared with, by what they are."""
    generator = np.random.default_rng([seed, 1])
    count = len(captions)
    shift = 1 + int(generator.integers(count - 1))  # no scene keeps its own
    order = generator.permutation(count)
    exchanged = np.empty(count, dtype=np.int64)
    exchanged[order] = np.roll(order, shift)
    constant = write_caption(*most_frequent(sounds, attributes), np.random.default_rng([seed, 2]))
    return {
        "shuffled audio": [captions[other] for other in exchanged],
        "most frequent": [constant] * count,
        "random facts": [
            write_caption(sounds[other], attributes[other], np.random.default_rng([seed, 3, n]))
            for n, other in enumerate(exchanged)
        ],
        "true facts": [
            write_caption(sound, said, np.random.default_rng([seed, 4, n]))
            for n, (sound, said) in enumerate(zip(sounds, attributes, strict=True))
        ],
    }


def rows_table(rows: dict[str, list[Measure]]) -> str:
    """Every measure of the model's captions, and of those beside them."""
    columns = {name: {measure.key: measure for measure in measures} for name, measures in rows.items()}
    lines = ["| measure | " + " | ".join(rows) + " |", "|---" * (len(rows) + 1) + "|"]
    for measure in rows[HEARD]:
        cells = [measure.text(column[measure.key].value) for column in columns.values()]
        lines.append("| " + " | ".join([measure.name, *cells]) + " |")
    return "\n".join(lines) + "\n"


def main(config: Config) -> dict[str, list[Measure]]:
    """Draw, listen, read, compare, and write; returns the measures of the model's captions and of those beside them."""
    output_dir = Path(config.output_dir)
    folder = checkpoint_folder(config.checkpoint)
    captioner = RecordingCaptioner.from_pretrained(folder)
    clips, recording_of = unseen_clips(config.data, config.fold, config.num_scenes, captioner.sample_rate)
    bank = unseen_rooms(config, captioner)
    records, played = draw_scenes(clips, bank, config.num_scenes, config.seed)
    heard = listen(captioner, records, bank, ClipStore(config.data, captioner.sample_rate), config)

    sounds, attributes = [item.sound_class for item in played], [attributes_of(record) for record in records]
    true = [CaptionFacts(frozenset([answer_name(s)]), said) for s, said in zip(sounds, attributes, strict=True)]
    references = [
        [
            write_caption(sounds[n], attributes[n], np.random.default_rng([config.seed, 5, n, number]))
            for number in range(config.num_references)
        ]
        for n in range(len(records))
    ]
    groups = [recording_of(item) for item in played]
    captions = {HEARD: heard} | beside(heard, sounds, attributes, config.seed)
    resamples = {name: RESAMPLES if name == HEARD else 1 for name in captions}
    rows = {
        name: spatial_caption_measures(said, true, groups=groups, resamples=resamples[name])
        for name, said in captions.items()
    }
    note = f"BLEU, ROUGE-L and CIDEr-D: against {config.num_references} template captions a scene.\n"
    try:
        for name, said in captions.items():
            rows[name] += caption_measures(said, references, config.scores, groups, resamples[name])
    except MissingExtraError as error:
        note = f"No {', '.join(config.scores)}: {error}.\n"
    for name in rows.keys() - {HEARD}:  # one drawing is no interval
        rows[name] = [replace(measure, interval=None) for measure in rows[name]]
    if config.data is not None:  # goals are for recorded sounds
        rows[HEARD] = with_goals(rows[HEARD], GOALS)

    name = config.name or folder.name
    kinds = "synthesised sounds" if config.data is None else f"ESC-10 (fold {config.fold})"
    title = (
        f"# {name}: captions of {len(records)} scenes, {kinds}, in {len({r.room for r in bank.rows})} unseen rooms\n"
    )
    decoding = "greedy" if config.num_beams == 1 else f"{config.num_beams} beams"
    table = "\n".join(
        [title, f"Captions: {decoding}. {note}", markdown_table(rows[HEARD]), "## Beside it\n", rows_table(rows)]
    )
    write_whole(output_dir / "table.md", table.encode())
    lines = [
        json.dumps(
            {
                "scene_id": record.scene_id,
                "sound": answer_name(sounds[n]),
                **asdict(attributes[n]),
                "captions": {kind: said[n] for kind, said in captions.items()},
                "references": references[n],
            }
        )
        + "\n"
        for n, record in enumerate(records)
    ]
    write_whole(output_dir / "captions.jsonl", "".join(lines).encode())
    results = {
        "model-index": model_index(
            rows[HEARD], name, "audio-captioning", "Simulated spatial scenes", "spatial-scenes", "test"
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
