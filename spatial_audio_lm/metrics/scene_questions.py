"""What is asked of a model that joins spatial sound and language: the questions, scored on embedded scenes.

Every question is asked in words, answered by the nearest sentence or clip, and scored beside chance and beside what the
mean intensity vector answers without learning. Intervals draw whole recordings where the question is about the sound,
and whole rooms where it is about the place, since scenes that share one of them are alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.everyday import EVERYDAY_WORDS
from spatial_audio_lm.language.templates import probe_sentences, write_caption
from spatial_audio_lm.language.vocabulary import sound_class
from spatial_audio_lm.metrics.intervals import bootstrap_interval
from spatial_audio_lm.metrics.localization import (
    CORRECT_WITHIN_DEG,
    MEAN_ERROR_OF_CHANCE_DEG,
    azimuth_error_deg,
    confidence_calibration,
    direction_error_deg,
    localization_scores,
)
from spatial_audio_lm.metrics.report import Measure
from spatial_audio_lm.metrics.retrieval import compatible_recall_at_1, retrieval_scores, states_compatible, target_ranks
from spatial_audio_lm.metrics.zero_shot import ZeroShotScores, balanced_accuracy, cosine_similarity, zero_shot_scores
from spatial_audio_lm.signal.conventions import direction_of, unit_vector

TextEmbedder = Callable[[Sequence[str]], NDArray[np.floating[Any]]]

QUESTION_OF = {
    "direction": "direction, 4-way",
    "elevation": "elevation up/down",
    "distance": "distance near/far",
    "size": "room small/large",
    "reverberation": "reverberant/dampened",
}
CENTRE_OF_WORD_DEG = {"left": 90.0, "right": -90.0, "front": 0.0, "back": 180.0}


@dataclass(frozen=True)
class EmbeddedScenes:
    """Scenes with one source each, and what a model made of their sound.

    Attributes:
        sound_class: class id of each scene.
        recording: which dry recording it plays; scenes with the same one are not independent.
        room: which room it is in, `(scenes,)`.
        attributes: the words that are true of each scene.
        direction: true unit vectors, `(scenes, 3)`.
        distance_m: true distances, `(scenes,)`.
        audio_embeds: the model's embeddings, `(scenes, dim)`.
        estimated_direction: the model's directions, `(scenes, 3)`, NaN rows where it gives none.
        confidence: stated probability that the estimate is within 20 degrees, `(scenes,)`, or None.
        estimated_distance_m: the model's distances, `(scenes,)`.
        intensity_direction: the direction without learning, `(scenes, 3)`, NaN rows where it gives none.
    """

    sound_class: tuple[str, ...]
    recording: NDArray[np.str_]
    room: NDArray[np.int64]
    attributes: tuple[SpatialAttributes, ...]
    direction: NDArray[np.float64]
    distance_m: NDArray[np.float64]
    audio_embeds: NDArray[np.float64]
    estimated_direction: NDArray[np.float64]
    confidence: NDArray[np.float64] | None
    estimated_distance_m: NDArray[np.float64]
    intensity_direction: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = len(self.sound_class)
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        lengths = {name: len(values) for name, values in given.items() if values is not None}
        if count == 0 or set(lengths.values()) != {count}:
            raise DataError(f"every field needs one entry a scene, and at least one scene; got {lengths}")

    @property
    def classes(self) -> tuple[str, ...]:
        """The class ids that occur, sorted: the candidates of every question about the class."""
        return tuple(sorted(set(self.sound_class)))


def class_measures(scenes: EmbeddedScenes, embed_text: TextEmbedder) -> list[Measure]:
    """Which sound it is: by "the sound of <label>", and by everyday words that no training caption holds."""
    classes = scenes.classes
    sentences = [f"the sound of {sound_class(name).label}" for name in classes]
    scores = zero_shot_scores(
        cosine_similarity(scenes.audio_embeds, embed_text(sentences)), list(scenes.sound_class), classes
    )
    labelled = Measure(
        key="class_balanced_accuracy",
        name=f"class, {len(classes)}-way",
        value=scores.balanced_accuracy,
        items=len(scenes.sound_class),
        interval=_interval_of_recall(scores, scenes, scenes.recording),
        beside={"chance": scores.chance},
        details=_details(scores),
    )
    # one word of every class makes one list; every list is a test of its own and the number is the mean over them
    lists = list(zip(*(EVERYDAY_WORDS[name] for name in classes), strict=False))
    by_list = []
    for words in lists:
        similarity = cosine_similarity(scenes.audio_embeds, embed_text(words))
        by_list.append(zero_shot_scores(similarity, list(scenes.sound_class), classes))

    def mean_over_lists(items: NDArray[np.int64]) -> float:
        return float(np.mean([balanced_accuracy(s.true[items], s.predicted[items], len(classes)) for s in by_list]))

    everyday = Measure(
        key="class_everyday_words_balanced_accuracy",
        name="class by everyday words absent from training captions",
        value=float(np.mean([scores.balanced_accuracy for scores in by_list])),
        items=len(scenes.sound_class),
        interval=bootstrap_interval(mean_over_lists, scenes.recording),
        beside={"chance": 1 / len(classes)},
        details={
            "lists": [
                {"words": dict(zip(classes, words, strict=True)), **_details(scores)}
                for words, scores in zip(lists, by_list, strict=True)
            ]
        },
    )
    return [labelled, everyday]


def attribute_measures(
    scenes: EmbeddedScenes, embed_text: TextEmbedder, beside: Mapping[str, Mapping[str, float]] | None = None
) -> list[Measure]:
    """One measure an attribute, by ELSA's sentences "A sound coming from ..."; only scenes that have a word.

    Args:
        scenes: what is asked about.
        embed_text: sentences to `(sentences, dim)`.
        beside: further numbers for the table, by attribute, e.g. those of the neighbour rule.

    Returns:
        Measures in the order of `ATTRIBUTE_WORDS`; an attribute of which fewer than two words occur is left out.
    """
    measures = []
    for attribute, words in ATTRIBUTE_WORDS.items():
        labels = [getattr(scene, attribute) for scene in scenes.attributes]
        if len(set(labels) - {None}) < 2:
            continue
        sentences = probe_sentences(attribute)
        similarity = cosine_similarity(scenes.audio_embeds, embed_text([sentences[word][0] for word in words]))
        scores = zero_shot_scores(similarity, labels, words)
        others = {"chance": scores.chance}
        unlearned = _intensity_similarity(scenes.intensity_direction, attribute)
        if unlearned is not None:
            others["intensity vector"] = zero_shot_scores(unlearned, labels, words).balanced_accuracy
        measures.append(
            Measure(
                key=f"{attribute}_balanced_accuracy",
                name=QUESTION_OF[attribute],
                value=scores.balanced_accuracy,
                items=len(scores.true),
                interval=_interval_of_recall(scores, scenes, scenes.room),
                beside=others | dict((beside or {}).get(attribute, {})),
                details=_details(scores),
            )
        )
    return measures


def localization_measures(scenes: EmbeddedScenes) -> list[Measure]:
    """How far the estimated direction and distance are off, beside the intensity vector on the same files."""
    model = localization_scores(scenes.estimated_direction, scenes.direction)
    unlearned = localization_scores(scenes.intensity_direction, scenes.direction)
    azimuth = azimuth_error_deg(direction_of(scenes.estimated_direction)[0], direction_of(scenes.direction)[0])
    angle = direction_error_deg(scenes.estimated_direction, scenes.direction)
    distance_ratio = np.abs(np.log(scenes.estimated_distance_m / scenes.distance_m))
    guess = np.abs(np.log(scenes.distance_m) - np.median(np.log(scenes.distance_m)))
    details = {"model": asdict(model), "intensity vector": asdict(unlearned)}

    def mean_of(values: NDArray[np.float64]) -> Callable[[NDArray[np.int64]], float]:
        return lambda items: float(np.nanmean(values[items]))

    count = model.count
    measures = [
        Measure(
            key="azimuth_mean_absolute_error_deg",
            name="azimuth error, mean absolute",
            value=model.azimuth_mae_deg,
            unit="°",
            better="lower",
            items=count,
            interval=bootstrap_interval(mean_of(azimuth), scenes.room),
            beside={"intensity vector": unlearned.azimuth_mae_deg, "chance": MEAN_ERROR_OF_CHANCE_DEG},
            details=details,
        ),
        Measure(
            key="great_circle_mean_error_deg",
            name="great-circle error, mean",
            value=model.great_circle_mean_deg,
            unit="°",
            better="lower",
            items=count,
            interval=bootstrap_interval(mean_of(angle), scenes.room),
            beside={"intensity vector": unlearned.great_circle_mean_deg, "chance": MEAN_ERROR_OF_CHANCE_DEG},
            details=details,
        ),
        Measure(
            key="direction_within_20_deg",
            name="direction within 20°",
            value=model.within_20_deg,
            items=count,
            interval=bootstrap_interval(mean_of((angle <= CORRECT_WITHIN_DEG).astype(float)), scenes.room),
            beside={"intensity vector": unlearned.within_20_deg, "chance": float(_cap_share(CORRECT_WITHIN_DEG))},
        ),
        Measure(
            key="distance_median_log_ratio",
            name="distance, median error of its logarithm",
            value=float(np.median(distance_ratio)),
            better="lower",
            items=count,
            interval=bootstrap_interval(lambda items: float(np.median(distance_ratio[items])), scenes.room),
            beside={"always the middle distance": float(np.median(guess))},
        ),
    ]
    if scenes.confidence is not None:
        right = angle <= CORRECT_WITHIN_DEG
        calibration = confidence_calibration(scenes.confidence, right)
        stated = scenes.confidence
        measures.append(
            Measure(
                key="confidence_calibration_error",
                name="confidence, distance from the share right within 20°",
                value=calibration.expected_error,
                better="lower",
                items=count,
                interval=bootstrap_interval(
                    lambda items: confidence_calibration(stated[items], right[items]).expected_error, scenes.room
                ),
                details={
                    "bias": calibration.bias,
                    "counts": calibration.counts.tolist(),
                    "confidence": [_json_number(value) for value in calibration.confidence],
                    "right": [_json_number(value) for value in calibration.accuracy],
                },
            )
        )
    return measures


def sentence_measures(scenes: EmbeddedScenes, embed_text: TextEmbedder) -> list[Measure]:
    """Class and direction in one sentence, against every other pair: both must be right."""
    words = ATTRIBUTE_WORDS["direction"]
    pairs = [(name, word) for name in scenes.classes for word in words]
    kept = np.flatnonzero([scene.direction is not None for scene in scenes.attributes])
    if len(kept) == 0:
        return []
    embeds = embed_text([_class_from_direction(name, word) for name, word in pairs])
    labels = [f"{scenes.sound_class[index]}|{scenes.attributes[index].direction}" for index in kept]
    scores = zero_shot_scores(
        cosine_similarity(scenes.audio_embeds[kept], embeds), labels, [f"{name}|{word}" for name, word in pairs]
    )
    chosen = [pairs[index] for index in scores.predicted]
    class_right = np.array([pair[0] == scenes.sound_class[index] for pair, index in zip(chosen, kept, strict=True)])
    return [
        Measure(
            key="class_and_direction_accuracy",
            name=f"class + direction in one sentence of {len(pairs)}, both right",
            value=scores.accuracy,
            items=len(kept),
            interval=bootstrap_interval(
                lambda items: float((scores.true == scores.predicted)[items].mean()), scenes.recording[kept]
            ),
            beside={"chance": scores.chance},
            details={
                "balanced_accuracy": scores.balanced_accuracy,
                "class_right": float(class_right.mean()),
                "direction_right": float(
                    np.mean([pair[1] == scenes.attributes[i].direction for pair, i in zip(chosen, kept, strict=True)])
                ),
            },
        )
    ]


def retrieval_measures(
    scenes: EmbeddedScenes, embed_text: TextEmbedder, seed: int, draws: int = 5, scenes_per_draw: int = 100
) -> list[Measure]:
    """Finding a clip by a caption that states all it can, in sentence forms that training never shows.

    Args:
        scenes: the collection.
        embed_text: sentences to `(sentences, dim)`.
        seed: of the draws and the wordings.
        draws: how many collections; numbers are means over them.
        scenes_per_draw: clips in each; fewer where there are not so many scenes.
    """
    generator = np.random.default_rng([seed, len(scenes.sound_class)])
    size = min(scenes_per_draw, len(scenes.sound_class))
    results: list[dict[str, float]] = []
    ranks: list[NDArray[np.int64]] = []
    asked: list[NDArray[np.int64]] = []
    for _ in range(draws):
        chosen = generator.permutation(len(scenes.sound_class))[:size]
        captions = [
            write_caption(scenes.sound_class[index], scenes.attributes[index], generator, forms="heldout")
            for index in chosen
        ]
        similarity = cosine_similarity(scenes.audio_embeds[chosen], embed_text(captions))
        facts = [_facts(scenes, index) for index in chosen]
        result = retrieval_scores(similarity)
        result["compatible"] = compatible_recall_at_1(similarity.T, states_compatible(facts, facts))
        # how often a clip chosen blindly would satisfy the sentence
        result["compatible_chance"] = float(states_compatible(facts, facts).mean())
        results.append(result)
        ranks.append(target_ranks(similarity.T))
        asked.append(chosen)
    pooled, groups = np.concatenate(ranks), scenes.recording[np.concatenate(asked)]
    mean = {name: float(np.mean([result[name] for result in results])) for name in results[0]}

    def measure(name: str, key: str, title: str, chance: float, recall_at: int | None) -> Measure:
        interval = None
        if recall_at is not None:
            interval = bootstrap_interval(lambda items: float((pooled[items] < recall_at).mean()), groups)
        return Measure(
            key=key,
            name=f"text→audio {title}, {size} scenes, unseen sentence forms",
            value=mean[name],
            items=draws * size,
            interval=interval,
            beside={"chance": chance},
            details={"draws": [result[name] for result in results]},
        )

    harmonic = float((1 / np.arange(1, min(10, size) + 1)).sum() / size)
    return [
        measure("text_to_audio_R@1", "text_to_audio_recall_at_1", "R@1", 1 / size, 1),
        measure("text_to_audio_R@10", "text_to_audio_recall_at_10", "R@10", min(10, size) / size, 10),
        measure("text_to_audio_mAP@10", "text_to_audio_map_at_10", "mAP@10", harmonic, None),
        replace(
            measure("compatible", "text_to_audio_compatible_at_1", "R@1", mean["compatible_chance"], None),
            name=f"text→audio R@1, any clip that fits the sentence, {size} scenes",
        ),
    ]


def _class_from_direction(class_id: str, word: str) -> str:
    return f"{sound_class(class_id).label} from {'behind' if word == 'back' else f'the {word}'}"


def _facts(scenes: EmbeddedScenes, index: int) -> tuple[str | None, ...]:
    return (scenes.sound_class[index], *(getattr(scenes.attributes[index], name) for name in ATTRIBUTE_WORDS))


def _intensity_similarity(vectors: NDArray[np.float64], attribute: str) -> NDArray[np.float64] | None:
    """The answer of a direction without learning, as similarities to the words; no direction fits all alike."""
    if attribute == "direction":
        centres = unit_vector(np.array([CENTRE_OF_WORD_DEG[word] for word in ATTRIBUTE_WORDS["direction"]]), 0.0)
        return np.nan_to_num(vectors) @ np.asarray(centres).T
    if attribute == "elevation":
        up = np.nan_to_num(vectors[:, 2])
        return np.stack([up if word == "up" else -up for word in ATTRIBUTE_WORDS["elevation"]], axis=1)
    return None


def _interval_of_recall(scores: ZeroShotScores, scenes: EmbeddedScenes, groups: NDArray[Any]) -> Any:
    return bootstrap_interval(
        lambda items: balanced_accuracy(scores.true[items], scores.predicted[items], len(scores.words)),
        groups[scores.kept],
    )


def _details(scores: ZeroShotScores) -> dict[str, Any]:
    return {
        "accuracy": scores.accuracy,
        "auc": scores.auc,
        "recalls": scores.recalls,
        "counts": scores.counts,
        "without_a_word": scores.dropped,
        "words": list(scores.words),
        "confusion": scores.confusion.tolist(),
    }


def _cap_share(angle_deg: float) -> float:
    """Share of the sphere within an angle of one direction."""
    return float(1 - np.asarray(unit_vector(angle_deg, 0.0))[0]) / 2


def _json_number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
