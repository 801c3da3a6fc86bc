"""Measure an ELSA checkpoint on sounds and rooms it has never met (ELSA, sections 4 and 5; arXiv 2409.11369).

Unseen dry recordings (ESC-10 fold 4, or synthesised sounds with seeds that training never uses) are placed in unseen
simulated rooms; the model answers in words and in degrees. Every number stands beside its 95 % interval, chance, and
what needs no learning: the mean intensity vector for directions, a neighbour rule that knows the room's true acoustics
for distance and size. Word questions count only scenes that have a word by ELSA's table (its gaps are dropped) and are
scored by the mean recall over the words, since the words are not equally common.

    python recipes/evaluate_elsa.py --config recipes/configs/evaluate_elsa/elsa_tiny.yaml --data DIR

`DIR` holds ESC-10 in the layout of data_cards/esc10.md. Without `--data` the sounds are synthesised. 1,000 scenes take
about three minutes on one core, two of them for the rooms, which are kept for the next run. Written to `output_dir`:
table.md, results.json (all numbers, and a `model-index` for a model card), scenes.jsonl (the record of every scene: the
same bits again), and three figures.
"""

import itertools
import json
import math
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from spatial_audio_lm.data.unseen_scenes import bank_of_rooms, draw_scenes, unseen_clips
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.files import write_json, write_whole
from spatial_audio_lm.language.attributes import SpatialAttributes, spatial_attributes
from spatial_audio_lm.language.vocabulary import sound_class
from spatial_audio_lm.metrics.localization import CORRECT_WITHIN_DEG, direction_error_deg
from spatial_audio_lm.metrics.report import Measure, markdown_table, model_index, with_goals
from spatial_audio_lm.metrics.room_acoustics_oracle import neighbour_rule_scores, room_features
from spatial_audio_lm.metrics.scene_questions import (
    EmbeddedScenes,
    attribute_measures,
    class_measures,
    localization_measures,
    retrieval_measures,
    sentence_measures,
)
from spatial_audio_lm.models.checkpoints import checkpoint_folder
from spatial_audio_lm.objectives.spatial_regression import vmf_probability_within
from spatial_audio_lm.pipelines.querying import SpatialQuery
from spatial_audio_lm.signal.conventions import direction_of, unit_vector
from spatial_audio_lm.signal.intensity_direction import intensity_direction
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, RirRow
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.viz.figures import BLUE, FAINT, GROUND, INK, MUTED, ORANGE, new_figure, save_figure

# What elsa-tiny has to reach on unseen clips in unseen simulated rooms.
GOALS = {
    "class_balanced_accuracy": 0.92,
    "class_everyday_words_balanced_accuracy": 0.60,
    "direction_balanced_accuracy": 0.985,
    "azimuth_mean_absolute_error_deg": 6.5,
    "great_circle_mean_error_deg": 7.5,
    "elevation_balanced_accuracy": 0.99,
    "distance_balanced_accuracy": 0.75,
    "size_balanced_accuracy": 0.79,
    "reverberation_balanced_accuracy": 0.92,
    "class_and_direction_accuracy": 0.88,
    "text_to_audio_recall_at_10": 0.98,
    "direction_given_without_one": 0.0,
}
NO_DIRECTION_SCENES = 50
FOLDERS = ("checkpoint", "data", "test_bank", "train_bank", "output_dir")  # of this machine: they stay out of results


@dataclass(frozen=True)
class Config:
    """Settings of the evaluation."""

    checkpoint: str = "elsa-tiny"  # a packaged name, or a folder written by save_pretrained
    name: str | None = None  # of the model in results.json; the checkpoint's folder name where not given
    data: str | None = None  # folder with ESC-10; none: synthesised sounds
    fold: int = 4
    num_scenes: int = 1000
    num_rooms: int = 250  # unseen ones, four source places each
    oracle_rooms: int = 400  # training rooms in which the neighbour rule looks up
    test_bank: str | None = None  # folder of a finished bank of split "test"; none: made below output_dir
    train_bank: str | None = None  # folder of a finished bank of another split; none: made below output_dir
    retrieval_draws: int = 5
    retrieval_scenes: int = 100
    batch_size: int = 32
    seed: int = 0
    output_dir: str = "runs/evaluate_elsa"

    def __post_init__(self) -> None:
        if self.num_scenes < 2 or self.num_rooms < 1 or self.oracle_rooms < 1 or self.batch_size < 1:
            raise ConfigError(f"num_scenes must be at least 2, rooms and batch_size at least 1; got {self}")


@torch.inference_mode()
def hear(ask: SpatialQuery, sounds: list[SpatialAudio]) -> dict[str, NDArray[np.float64]]:
    """Embeddings and estimates of one batch, one row a sound; a direction of NaN where a sound has none."""
    features = ask.processor.feature_extractor(sounds)
    is_spatial = features.pop("is_spatial")
    place = ask.model.localize(**features)
    heard = {
        "audio_embeds": place.audio_embeds,
        "direction": place.direction.masked_fill(~is_spatial[:, None], math.nan),
        "distance_m": place.distance_m,
    }
    if place.direction_concentration is not None:
        heard["confidence"] = vmf_probability_within(place.direction_concentration, CORRECT_WITHIN_DEG)
    return {name: value.double().numpy() for name, value in heard.items()}


def listen(
    ask: SpatialQuery, records: Sequence[SceneRecord], bank: RirBank, store: ClipStore, batch_size: int
) -> dict[str, NDArray[np.float64]]:
    """Render every scene and let the model, and the intensity vector, hear it."""
    parts: list[dict[str, NDArray[np.float64]]] = []
    with tqdm(total=len(records), desc="scenes", unit="scene") as progress:
        for start in range(0, len(records), batch_size):
            sounds = [render_scene(record, bank, store) for record in records[start : start + batch_size]]
            unlearned = [intensity_direction(sound) for sound in sounds]
            vectors = [
                np.full(3, np.nan) if guess.reason is not None else unit_vector(guess.azimuth_deg, guess.elevation_deg)
                for guess in unlearned
            ]
            parts.append(hear(ask, sounds) | {"intensity": np.stack(vectors)})
            progress.update(len(sounds))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def no_direction_measure(ask: SpatialQuery, records: Sequence[SceneRecord], bank: RirBank, store: ClipStore) -> Measure:
    """How often the door that people use gives a direction to mono, or to one channel copied to all four."""
    given = []
    for record in records[:NO_DIRECTION_SCENES]:
        omni = render_scene(record, bank, store).waveform[:1]
        mono = SpatialAudio.from_array(omni, record.sample_rate, format="mono")
        copies = SpatialAudio.from_array(omni.repeat(4, 1), record.sample_rate, format="foa")
        given += [ask.locate(sound).azimuth_deg is not None for sound in (mono, copies)]
    return Measure(
        key="direction_given_without_one",
        name="mono or four equal channels, given a direction",
        value=float(np.mean(given)),
        better="lower",
        items=len(given),
    )


def words_of(rows: Sequence[RirRow]) -> list[SpatialAttributes]:
    """What ELSA's table says of each place of a bank."""
    return [
        spatial_attributes(row.azimuth_deg, row.elevation_deg, row.distance_m, row.floor_area_m2, row.t30_s)
        for row in rows
    ]


def neighbour_rule(rows: Sequence[RirRow], train_rows: Sequence[RirRow]) -> dict[str, dict[str, float]]:
    """What a rule that knows the rooms' true acoustics reaches on the same places, by attribute."""
    known, asked = (
        room_features([row.drr_db for row in of], [row.c50_db for row in of], [row.t30_s for row in of])
        for of in (train_rows, rows)
    )
    beside = {}
    for attribute, field, words in (
        ("distance", "distance_m", ("near", "far")),
        ("size", "floor_area_m2", ("small", "large")),
    ):
        known_target, target = ([getattr(row, field) for row in of] for of in (train_rows, rows))
        known_labels, labels = ([getattr(said, attribute) for said in words_of(of)] for of in (train_rows, rows))
        try:
            scores = neighbour_rule_scores(known, known_target, asked, target, known_labels, labels, words)
        except DataError:  # so few rooms that one of the words does not occur: nothing to stand beside
            continue
        beside[attribute] = {"neighbour rule": scores.balanced_accuracy}
    return beside


def draw_figures(scenes: EmbeddedScenes, measures: list[Measure], output_dir: Path) -> None:
    """Which classes are taken for which, azimuth against its estimate, and error over distance."""
    by_key = {measure.key: measure for measure in measures}
    details = by_key["class_balanced_accuracy"].details
    confusion = np.asarray(details["confusion"], dtype=float)
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    labels = [sound_class(name).label for name in details["words"]]
    figure = new_figure(2.6 + 0.5 * len(labels), 2.2 + 0.42 * len(labels))
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(share >= 0.005):
        colour = "white" if share[row, column] > 0.6 else INK
        axes.text(column, row, f"{100 * share[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("nearest sentence: the sound of ...")
    axes.set_ylabel("what sounds")
    axes.set_title(f"Percent of each class ({by_key['class_balanced_accuracy'].items} scenes)", color=INK)
    figure.tight_layout()
    save_figure(figure, output_dir / "class_confusion.png")

    true, estimated = direction_of(scenes.direction)[0], direction_of(scenes.estimated_direction)[0]
    figure = new_figure(6.4, 6.2)
    axes = figure.add_subplot()
    axes.plot([-180, 180], [-180, 180], color=FAINT, zorder=1)
    axes.scatter(true, estimated, s=10, color=BLUE, alpha=0.5, linewidths=0, zorder=2)
    ticks = [-180, -90, 0, 90, 180]
    names = ["back\n-180°", "right\n-90°", "front\n0°", "left\n90°", "back\n180°"]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlim=(-185, 185), ylim=(-185, 185), xlabel="true azimuth", ylabel="estimated azimuth", aspect="equal")
    mean = by_key["azimuth_mean_absolute_error_deg"]
    axes.set_title(f"Azimuth, mean absolute error {mean.text(mean.value)}", color=INK)
    axes.set_facecolor(GROUND)
    figure.tight_layout()
    save_figure(figure, output_dir / "azimuth.png")

    edges = np.array([0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
    figure = new_figure(7.0, 4.2)
    axes = figure.add_subplot()
    for name, vectors, colour in (
        ("model", scenes.estimated_direction, BLUE),
        ("intensity vector (no learning)", scenes.intensity_direction, ORANGE),
    ):
        error = direction_error_deg(vectors, scenes.direction)
        bins = [
            error[(scenes.distance_m >= low) & (scenes.distance_m < high)] for low, high in itertools.pairwise(edges)
        ]
        filled = [index for index, values in enumerate(bins) if np.isfinite(values).any()]
        middles = (edges[1:] + edges[:-1])[filled] / 2
        quartiles = np.array([np.nanquantile(bins[index], [0.25, 0.5, 0.75]) for index in filled])
        axes.plot(middles, quartiles[:, 1], marker="o", color=colour, label=name)
        axes.fill_between(middles, quartiles[:, 0], quartiles[:, 2], color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="distance of the source in metres", ylabel="great-circle error in degrees", xlim=(0.5, 4.0))
    axes.set_ylim(bottom=0)
    axes.grid(color=FAINT)
    axes.legend(frameon=False)
    axes.set_title("Direction error by distance: median, and the middle half of the scenes", color=INK)
    axes.tick_params(colors=MUTED)
    figure.tight_layout()
    save_figure(figure, output_dir / "error_by_distance.png")


def main(config: Config) -> list[Measure]:
    """Render, listen, ask, and write the answers; returns the rows of the table."""
    output_dir = Path(config.output_dir)
    ask = SpatialQuery.from_pretrained(config.checkpoint)
    rate = ask.sample_rate
    # before the rooms: a wrong --data shows at once
    clips, recording_of = unseen_clips(
        config.data, config.fold, config.num_scenes, rate
    )  # before the rooms: a wrong --data shows at once
    settings = BankSettings(
        split="test", num_rooms=config.num_rooms, sample_rate=rate, rooms_per_shard=10, seed=config.seed
    )
    folder = f"rooms-{{}}-{{}}-{rate}-{config.seed}"
    bank = bank_of_rooms(config.test_bank, output_dir / folder.format("test", config.num_rooms), settings)
    settings = replace(settings, split="train", num_rooms=config.oracle_rooms)
    train_bank = bank_of_rooms(config.train_bank, output_dir / folder.format("train", config.oracle_rooms), settings)

    records, played = draw_scenes(clips, bank, config.num_scenes, config.seed)
    store = ClipStore(config.data, rate)
    heard = listen(ask, records, bank, store, config.batch_size)
    rows = [bank.rows[record.sources[0].rir_index] for record in records]
    scenes = EmbeddedScenes(
        sound_class=tuple(item.sound_class for item in played),
        recording=np.array([recording_of(item) for item in played]),
        room=np.array([row.room for row in rows]),
        attributes=tuple(words_of(rows)),
        direction=unit_vector(np.array([r.azimuth_deg for r in rows]), np.array([r.elevation_deg for r in rows])),
        distance_m=np.array([row.distance_m for row in rows]),
        audio_embeds=heard["audio_embeds"],
        estimated_direction=heard["direction"],
        confidence=heard.get("confidence"),
        estimated_distance_m=heard["distance_m"],
        intensity_direction=heard["intensity"],
    )

    def embed_text(sentences: Sequence[str]) -> NDArray[np.float64]:
        return ask.embed_texts(sentences).double().numpy()

    measures = class_measures(scenes, embed_text)
    measures += attribute_measures(scenes, embed_text, neighbour_rule(rows, train_bank.rows))
    measures += localization_measures(scenes)
    measures += sentence_measures(scenes, embed_text)
    measures += retrieval_measures(scenes, embed_text, config.seed, config.retrieval_draws, config.retrieval_scenes)
    measures.append(no_direction_measure(ask, records, bank, store))
    if config.data is not None:  # the goals are for recorded sounds
        measures = with_goals(measures, GOALS)

    name = config.name or checkpoint_folder(config.checkpoint).name
    sounds = "synthesised sounds" if config.data is None else "ESC-10"
    split = f"seeds from {FIRST_UNSEEN_SEED}" if config.data is None else f"fold {config.fold}"
    num_rooms = len({row.room for row in rows})
    heading = f"# {name}: {len(records)} scenes, {sounds} ({split}) in {num_rooms} unseen simulated rooms\n\n"
    table = heading + markdown_table(measures)
    write_whole(output_dir / "table.md", table.encode())
    lines = [json.dumps(record.to_dict(), allow_nan=False) + "\n" for record in records]
    write_whole(output_dir / "scenes.jsonl", "".join(lines).encode())
    data_name = f"{sounds} in simulated rooms"
    results = {
        "model-index": model_index(
            measures, name, "zero-shot-audio-classification", data_name, data_name.lower().replace(" ", "-"), split
        ),
        "measures": [measure.to_dict() for measure in measures],
        "settings": {key: value for key, value in asdict(config).items() if key not in FOLDERS} | {"name": name},
        "rooms": {"test": bank.reference, "train": train_bank.reference},
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "scipy", "torch", "transformers", "pyroomacoustics")},
    }
    write_json(output_dir / "results.json", results)
    draw_figures(scenes, measures, output_dir)
    print(table)
    return measures


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
