"""Measure a SpatialAST or DSpAST checkpoint: what sounds, from where, how far, on sounds and rooms it has never met.

Unseen dry recordings (ESC-10 fold 4, or synthesised sounds with seeds that training never uses) are placed in unseen
simulated rooms and heard by the heads of `--heads`; with `--brirs DIR` they are also convolved with measured binaural
room responses. Every number stands beside its 95 % interval and what chance would reach, for all scenes, for each
azimuth sector (where front and back are confused shows there), and for each head.

    python recipes/evaluate_dspast.py --config recipes/configs/evaluate_dspast/dspast_tiny.yaml --data DIR \
        --heads '[KEMAR.sofa, SADIE.npz]' --brirs DIR

mAP, ER20, MAE and DER are the papers' (DSpAST, section 4; facts of the published code in metrics/). Written to
`output_dir`: table.md, results.json (all numbers, a `model-index`, the mean weight of each feature map in each branch),
scenes.jsonl (the same sound again), and figures.
"""

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from tqdm.auto import tqdm

from spatial_audio_lm.data.clip_folders import LabelledClip
from spatial_audio_lm.data.measured_responses import MeasuredResponse, measured_responses
from spatial_audio_lm.data.unseen_scenes import UNSEEN_SCENES, bank_of_rooms, draw_scenes, unseen_clips
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.features.binaural_extractor import BinauralFeatureExtractor
from spatial_audio_lm.features.interaural import interaural_map_names
from spatial_audio_lm.files import write_json, write_whole
from spatial_audio_lm.metrics.event_localization_measures import EventLocalizationAnswers, event_localization_measures
from spatial_audio_lm.metrics.event_localization_report import EventLocalizationReport, event_localization_report
from spatial_audio_lm.metrics.report import Measure, markdown_table, model_index, with_goals
from spatial_audio_lm.models.checkpoints import checkpoint_folder
from spatial_audio_lm.models.dspast.configuration_dspast import BRANCHES
from spatial_audio_lm.pipelines.locating import SoundEventLocator
from spatial_audio_lm.signal.resampling import resample
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.head_files import SPHERE, HeadStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.viz.figures import BLUE, FAINT, GREEN, GROUND, INK, ORANGE, new_figure, save_figure

# What dspast-tiny has to reach on unseen clips in unseen simulated rooms, and on measured responses of one room.
GOALS = {
    "event_accuracy": 0.75,
    "great_circle_mean_error_deg": 30.0,
    "direction_error_above_20_deg": 0.45,
    "side_accuracy": 0.97,
    "distance_error_rate": 0.35,
}
MEASURED_GOALS = {"side_accuracy": 0.95, "lateral_mean_absolute_error_deg": 15.0}
FOLDERS = ("checkpoint", "data", "test_bank", "brirs", "heads", "output_dir")  # of this machine: not in the results


@dataclass(frozen=True)
class Config:
    """Settings of the evaluation."""

    checkpoint: str = "dspast-tiny"  # a packaged name, or a folder written by save_pretrained
    name: str | None = None  # of the model in results.json; the checkpoint's folder name where not given
    data: str | None = None  # folder with ESC-10; none: synthesised sounds
    fold: int = 4
    num_scenes: int = 1000
    num_rooms: int = 250  # unseen ones, four source places each
    heads: list[str] = field(default_factory=lambda: [SPHERE])  # of the rooms: see recipes/simulate_rirs.py
    test_bank: str | None = None  # folder of a finished binaural bank of split "test"; none: made below output_dir
    brirs: str | None = None  # folder with rirs.csv and measured binaural room responses; none: not measured on
    brirs_room: str | None = None  # which of them, by the beginning of their room's name
    clips_per_brir: int = 10  # dry clips heard from each place, of different classes first
    batch_size: int = 32
    seed: int = 0
    output_dir: str = "runs/evaluate_dspast"

    def __post_init__(self) -> None:
        if min(self.num_scenes, self.num_rooms, self.clips_per_brir, self.batch_size) < 1:
            raise ConfigError(f"num_scenes, num_rooms, clips_per_brir and batch_size must be at least 1; got {self}")


@torch.inference_mode()
def hear(model: Any, extractor: BinauralFeatureExtractor, sounds: Sequence[Any]) -> dict[str, NDArray[np.float64]]:
    """Answers of one batch of recordings, one row each; an azimuth of NaN where there is no direction."""
    features = extractor(list(sounds))
    output = model(**features)
    nowhere = ~features["is_spatial"]
    place = model.place(output)
    heard = {
        "event_logits": output.event_logits,
        "azimuth_deg": place["azimuth_deg"].masked_fill(nowhere, torch.nan),
        "elevation_deg": place["elevation_deg"].masked_fill(nowhere, torch.nan),
        "distance_m": place["distance_m"],
    }
    if output.feature_weights is not None:
        heard["feature_weights"] = output.feature_weights
    return {name: value.double().numpy() for name, value in heard.items()}


def hear_all(
    model: Any, extractor: BinauralFeatureExtractor, sounds: Any, count: int, batch_size: int, title: str
) -> dict[str, NDArray[np.float64]]:
    """`hear` over recordings that are made one by one."""
    parts, waiting = [], []
    for number, sound in enumerate(tqdm(sounds, total=count, desc=title, unit="clip")):
        waiting.append(sound)
        if len(waiting) == batch_size or number + 1 == count:
            parts.append(hear(model, extractor, waiting))
            waiting = []
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def columns_of(model: Any, names: Sequence[str]) -> list[int]:
    """Where the model has its answers on classes of sound.

    Raises:
        ConfigError: it does not know one of them.
    """
    column = {label: index for index, label in model.config.id2label.items()}
    if unknown := [name for name in names if name.replace("_", " ") not in column]:
        raise ConfigError(f"the model does not know {', '.join(unknown)}: it tells {', '.join(column)} apart")
    return [column[name.replace("_", " ")] for name in names]


def answers_of(
    model: Any,
    heard: dict[str, NDArray[np.float64]],
    played: Sequence[LabelledClip],
    recordings: Sequence[str],
    places: Sequence[tuple[float, float, float]],
    conditions: dict[str, Any],
) -> EventLocalizationAnswers:
    """Truth and answers; the model's other events than those that the clips are of are not asked for."""
    names = sorted({item.sound_class for item in played})
    azimuth, elevation, distance = (np.array(values) for values in zip(*places, strict=True))
    return EventLocalizationAnswers(
        azimuth_deg=heard["azimuth_deg"],
        elevation_deg=heard["elevation_deg"],
        distance_m=heard["distance_m"],
        event_scores=heard["event_logits"][:, columns_of(model, names)],
        events=np.array([[float(item.sound_class == name) for name in names] for item in played]),
        true_azimuth_deg=azimuth,
        true_elevation_deg=elevation,
        true_distance_m=distance,
        group=np.array(recordings),
        conditions=conditions,
        class_names=names,
    )


def simulated_rooms(config: Config, rate: int) -> RirBank:
    """The unseen rooms, heard by the config's heads."""
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
    default = Path(config.output_dir) / f"rooms-test-{config.num_rooms}-{rate}-{config.seed}"
    return bank_of_rooms(config.test_bank, default, settings, heads)


def located_responses(config: Config) -> list[tuple[MeasuredResponse, tuple[float, float, float]]]:
    """The measured responses, none without a folder, each with azimuth, elevation and distance of its source.

    Raises:
        DataError: see `measured_responses`, or a response whose source's place is not known.
    """
    located = []
    for response in measured_responses(config.brirs, "binaural", config.brirs_room) if config.brirs else []:
        azimuth, elevation, distance = response.azimuth_deg, response.elevation_deg, response.distance_m
        if azimuth is None or elevation is None or distance is None:
            raise DataError(f"rirs.csv does not say where the source of {response.path.name} was: choose by brirs_room")
        located.append((response, (azimuth, elevation, distance)))
    return located


def measured_rooms(
    config: Config,
    model: Any,
    extractor: BinauralFeatureExtractor,
    responses: Sequence[tuple[MeasuredResponse, tuple[float, float, float]]],
    clips: Sequence[LabelledClip],
    recording_of: Any,
) -> list[Measure]:
    """Each measured response with clips of different classes, four seconds each."""
    rate = extractor.sampling_rate
    store = ClipStore(config.data, rate)
    of_class: dict[str, list[LabelledClip]] = {}
    for item in clips:
        of_class.setdefault(item.sound_class, []).append(item)
    length = round(UNSEEN_SCENES.duration_s * rate)
    played, places, sounds = [], [], []
    for number, (response, place) in enumerate(responses):
        audio = response.load()
        ears = resample(audio.waveform, audio.sample_rate, rate).numpy()
        for turn in range(config.clips_per_brir):
            names = sorted(of_class)
            choices = of_class[names[turn % len(names)]]
            item = choices[(number * config.clips_per_brir + turn) // len(names) % len(choices)]
            dry = store.samples(item.clip)
            dry = np.tile(dry, -(-length // len(dry)))[:length]
            wet = fftconvolve(dry[None], ears, axes=-1)[:, :length].astype(np.float32)
            sounds.append({"array": wet * (0.5 / max(np.abs(wet).max(), 1e-9)), "sampling_rate": rate})
            played.append(item)
            places.append(place)
    heard = hear_all(model, extractor, sounds, len(sounds), config.batch_size, "measured rooms")
    answers = answers_of(model, heard, played, [recording_of(item) for item in played], places, {})
    return event_localization_measures(answers)


def head_names(records: Sequence[SceneRecord]) -> NDArray[np.str_]:
    return np.array([record.receiver.head.name if record.receiver.head else "none" for record in records])


def draw_figures(report: EventLocalizationReport, answers: EventLocalizationAnswers, output_dir: Path) -> None:
    """Azimuth against its estimate, with the lines of perfect answers and of front–back confusions."""
    true, estimated = np.asarray(answers.true_azimuth_deg), np.asarray(answers.azimuth_deg)
    heads = np.asarray(answers.conditions["head"])
    figure = new_figure(6.4, 6.4)
    axes = figure.add_subplot()
    axes.plot([-180, 180], [-180, 180], color=INK, linewidth=1, zorder=1)
    for start, stop in ((-180, 0), (0, 180)):
        middle = (start + stop) / 2
        axes.plot([start, stop], [2 * middle - start, 2 * middle - stop], color=FAINT, linestyle="--", zorder=1)
    for name, colour in zip(np.unique(heads), (BLUE, ORANGE, GREEN, INK), strict=False):
        chosen = heads == name
        axes.scatter(true[chosen], estimated[chosen], s=9, color=colour, alpha=0.55, linewidths=0, zorder=2, label=name)
    ticks = [-180, -90, 0, 90, 180]
    names = ["back\n-180°", "right\n-90°", "front\n0°", "left\n90°", "back\n180°"]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlim=(-185, 185), ylim=(-185, 185), xlabel="true azimuth", ylabel="estimated azimuth", aspect="equal")
    confused = next(m for m in report.overall if m.key == "front_back_confusion_rate")
    axes.set_title(f"Azimuth; dashed: front taken for back and back for front ({confused.value:.0%})", color=INK)
    axes.set_facecolor(GROUND)
    axes.legend(frameon=False, loc="upper left", markerscale=2)
    figure.tight_layout()
    save_figure(figure, output_dir / "azimuth.png")


def main(config: Config) -> dict[str, list[Measure]]:
    """Render, listen, measure, and write; returns the rows of the tables."""
    output_dir = Path(config.output_dir)
    locator = SoundEventLocator.from_pretrained(config.checkpoint)
    model, extractor = locator.model, locator.extractor
    rate = extractor.sampling_rate
    if UNSEEN_SCENES.duration_s * rate > extractor.max_samples:
        raise ConfigError(
            f"the scenes last {UNSEEN_SCENES.duration_s:g} s, the model hears {extractor.max_samples / rate:.2f} s at "
            "once: train it with more num_frames"
        )
    clips, recording_of = unseen_clips(config.data, config.fold, config.num_scenes, rate)
    columns_of(model, sorted({item.sound_class for item in clips}))  # refused before anything takes long
    responses = located_responses(config)
    bank = simulated_rooms(config, rate)
    records, played = draw_scenes(clips, bank, config.num_scenes, config.seed)
    store = ClipStore(config.data, rate)
    rendered = (render_scene(record, bank, store) for record in records)
    heard = hear_all(model, extractor, rendered, len(records), config.batch_size, "scenes")
    sources = [record.sources[0] for record in records]
    places = [(source.azimuth_deg, source.elevation_deg, source.distance_m) for source in sources]
    recordings = [recording_of(item) for item in played]
    answers = answers_of(model, heard, played, recordings, places, {"head": head_names(records)})
    report = event_localization_report(answers)
    goals = config.data is not None  # they are for recorded sounds
    overall = with_goals(report.overall, GOALS) if goals else report.overall

    name = config.name or checkpoint_folder(config.checkpoint).name
    sounds = "synthesised sounds" if config.data is None else "ESC-10"
    split = f"seeds from {FIRST_UNSEEN_SEED}" if config.data is None else f"fold {config.fold}"
    num_rooms = len({bank.rows[source.rir_index].room for source in sources})
    parts = [
        f"# {name}: {len(records)} scenes, {sounds} ({split}) in {num_rooms} unseen simulated rooms\n",
        markdown_table(overall),
        report.markdown().partition("## By azimuth sector")[1] + report.markdown().partition("## By azimuth sector")[2],
    ]
    rows = {"simulated": overall}
    if responses:
        measured = measured_rooms(config, model, extractor, responses, clips, recording_of)
        rows["measured"] = with_goals(measured, MEASURED_GOALS) if goals else measured
        parts += [f"# {name}: measured binaural room responses\n", markdown_table(rows["measured"])]
    table = "\n".join(parts)
    write_whole(output_dir / "table.md", table.encode())
    lines = [json.dumps(record.to_dict(), allow_nan=False) + "\n" for record in records]
    write_whole(output_dir / "scenes.jsonl", "".join(lines).encode())
    data_name = f"{sounds} in simulated rooms"
    results = {
        "model-index": model_index(
            overall, name, "audio-classification", data_name, data_name.lower().replace(" ", "-"), split
        ),
        "measures": {kind: [measure.to_dict() for measure in measures] for kind, measures in rows.items()},
        "report": report.to_dict(),
        "settings": {key: value for key, value in asdict(config).items() if key not in FOLDERS} | {"name": name},
        "rooms": bank.reference,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "scipy", "torch", "transformers", "pyroomacoustics")},
    }
    if "feature_weights" in heard:
        results["feature_weights"] = {
            "branches": list(BRANCHES),
            "maps": interaural_map_names(model.config.features),
            "mean": heard["feature_weights"].mean(0).tolist(),
        }
    write_json(output_dir / "results.json", results)
    draw_figures(report, answers, output_dir)
    print(table)
    return rows


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
