"""The engine behind every door: asks recordings in words, with a model that is loaded once.

    >>> from spatial_audio_lm import SpatialQuery
    >>> ask = SpatialQuery.from_pretrained()                     # the packaged model
    >>> answer = ask.query("clip.wav", ["a dog barking from the left", "rain from behind"])
    >>> answer.results[0].text, answer.azimuth_deg, answer.confidence

Doors resample to the model's rate and say so (`resampled_from`); nothing else is changed silently.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spatial_audio_lm.errors import LIMITS, CheckpointError, TextError
from spatial_audio_lm.models.checkpoints import DEFAULT_QUERY_MODEL, checkpoint_folder
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor
from spatial_audio_lm.objectives.spatial_regression import vmf_probability_within
from spatial_audio_lm.pipelines.answers import (
    CONFIDENT_WITHIN_DEG,
    SPREAD_PROBABILITY,
    Location,
    QueryResult,
    TextMatch,
    Window,
)
from spatial_audio_lm.pipelines.pretrained import load_whole, model_type_of, require_trained
from spatial_audio_lm.pipelines.recordings import OpenRecording, Recording, Stretch, require_sound
from spatial_audio_lm.signal.conventions import direction_of

NO_CONFIDENCE_HEAD = "no confidence: this model has not learned how sure its directions are"
_BATCH = 16  # windows that go through the model together
_SHORT_S = 1.0  # of recordings so short that the model has met none like them

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Embeddings:
    """A recording as vectors.

    Attributes:
        file: Path, None for an array.
        embeddings: `(windows, dim)` float32; of ELSA L2-normalised, and windows with nothing to hear are left out.
        start_s: Where each window begins.
        end_s: Where each window ends.
        resampled_from: Sample rate of the recording where it is not the model's, else None.
        warnings: What is doubtful about the recording.
    """

    file: str | None
    embeddings: Tensor
    start_s: tuple[float, ...]
    end_s: tuple[float, ...]
    resampled_from: int | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Heard:
    """What the model made of one window; None what was not asked for."""

    embedding: Tensor
    similarities: list[float] | None
    scores: list[float] | None
    location: Location


class SpatialQuery:
    """A model and its processor, ready to answer.

    Args:
        model: In eval mode or not; it is set to eval.
        processor: Its feature extractor and tokenizer.
    """

    def __init__(self, model: ElsaModel, processor: ElsaProcessor):
        self.model = model.eval()
        self.processor = processor

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = DEFAULT_QUERY_MODEL, device: str | torch.device | None = None
    ) -> "SpatialQuery":
        """Loads a packaged checkpoint by name, or any folder written by `save_pretrained`.

        Args:
            name_or_path: For example "elsa-tiny".
            device: Where to compute; the CPU if not given.

        Raises:
            CheckpointError: No such checkpoint, another kind of model, or damaged files.
        """
        folder = checkpoint_folder(name_or_path)
        kind = model_type_of(folder)
        if kind != "elsa":
            raise CheckpointError(
                f"{folder} holds a model of type {kind!r}; asking in words needs 'elsa' (locate takes others too)"
            )
        require_trained(folder)
        model, processor = load_whole(folder, ElsaModel, ElsaProcessor)
        return cls(model.to(device) if device is not None else model, processor)

    @property
    def sample_rate(self) -> int:
        """Rate in Hz at which the model hears."""
        return int(self.processor.feature_extractor.sampling_rate)

    def query(
        self,
        audio: Recording,
        texts: str | Iterable[str],
        format: str | None = None,
        progress: Progress | None = None,
    ) -> QueryResult:
        """How well sentences fit a recording, where its sound comes from and, in a long one, when.

        Args:
            audio: `SpatialAudio`, a path, or a dictionary with `array`, `sampling_rate` and perhaps `format`.
            texts: One sentence or several.
            format: Format of a file where its channels do not tell it.
            progress: Called with the seconds done and the seconds in all.

        Returns:
            Each sentence as it fits in its best window, the place as heard in the best of those, and all windows.

        Raises:
            SpatialAudioError: Audio or text that cannot be used, with the way out.
        """
        sentences = checked_sentences(texts)
        self._require_words(sentences)
        pooled = self._pool(sentences)
        recording = OpenRecording(audio, format)
        windows, notes = self._windows(recording, pooled, sentences, progress)
        require_sound(any(window.best_similarity > -math.inf for window in windows), recording)
        chosen = max(windows, key=lambda window: window.best_similarity)
        return _result(recording, windows, chosen, self._best_matches(windows, sentences), *notes)

    def locate(self, audio: Recording, format: str | None = None, progress: Progress | None = None) -> QueryResult:
        """Where the sound of a recording comes from; arguments as in `query`.

        Returns:
            The answer of the window whose direction is most certain, and all windows. Without a direction (mono,
            identical channels, silence) all numbers are None and `reason` says why.
        """
        recording = OpenRecording(audio, format)
        windows, notes = self._windows(recording, None, [], progress)
        return _result(recording, windows, max(windows, key=lambda window: window.confidence or -1.0), (), *notes)

    def embed(self, audio: Recording, format: str | None = None, progress: Progress | None = None) -> Embeddings:
        """A recording as vectors of the common space, one a window; arguments as in `query`.

        Raises:
            SpatialAudioError: Audio that cannot be used, or silence alone.
        """
        recording = OpenRecording(audio, format)
        heard = []
        notes: tuple[int | None, tuple[str, ...]] = (None, ())
        for stretch, answer in self._hear(recording, None, progress):
            notes = self._notes(stretch)
            if answer is not None:
                heard.append((stretch.start_s, stretch.end_s, answer.embedding))
        require_sound(bool(heard), recording)
        starts, ends, vectors = zip(*heard, strict=True)
        return Embeddings(recording.file, torch.stack(vectors), starts, ends, *notes)

    def embed_texts(self, texts: str | Iterable[str]) -> Tensor:
        """Sentences as vectors of the common space, L2-normalised, `(texts, dim)` float32.

        Raises:
            TextError: No sentence, an empty one, or one that is too long.
        """
        with torch.inference_mode():
            projected = self.model.text_projection(self._pool(checked_sentences(texts)))
        return torch.nn.functional.normalize(projected.float(), dim=-1).cpu()

    def _best_matches(self, windows: tuple[Window, ...], sentences: list[str]) -> tuple[TextMatch, ...]:
        """Each sentence as it fits in its best window, the best sentence first."""
        matches = list(windows[0].results)
        if len(windows) > 1:
            best = [max(windows, key=lambda w: _cosine(w.results[index])) for index in range(len(sentences))]
            matches = [
                replace(window.results[index], start_s=window.start_s, end_s=window.end_s)
                for index, window in enumerate(best)
            ]
            if len(sentences) > 1:
                cosines = torch.tensor([match.similarity for match in matches], dtype=torch.float64)
                scores = (cosines * self.model.logit_scale.detach().cpu().double().exp()).softmax(0).tolist()
                matches = [replace(match, score=score) for match, score in zip(matches, scores, strict=True)]
        return tuple(sorted(matches, key=lambda match: -_cosine(match)))

    def _pool(self, sentences: list[str]) -> Tensor:
        """Sentence vectors before the projection, `(texts, hidden)`: computed once for all windows."""
        self._require_short(sentences)
        tokens = self.processor(text=sentences)
        with torch.inference_mode():
            return self.model.pool_text(**{name: value.to(self.model.device) for name, value in tokens.items()})

    def _require_words(self, sentences: list[str]) -> None:
        tokenizer = self.processor.tokenizer
        for sentence in sentences:
            if set(tokenizer(sentence, truncation=True)["input_ids"]) <= {*tokenizer.all_special_ids}:
                raise TextError(f"the sentence {sentence[:40]!r} holds no word that this model can read: use words")

    def _require_short(self, sentences: list[str]) -> None:
        tokenizer, config = self.processor.tokenizer, self.model.config.text_config
        longest = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", math.inf))
        for sentence in sentences:
            length = len(tokenizer(sentence)["input_ids"])
            if length > longest:
                raise TextError(
                    f"the sentence {sentence[:40]!r}... has {length} tokens; this model reads {longest}: shorten it"
                )

    def _windows(
        self, recording: OpenRecording, pooled: Tensor | None, sentences: list[str], progress: Progress | None
    ) -> tuple[tuple[Window, ...], tuple[int | None, tuple[str, ...]]]:
        windows = []
        notes: tuple[int | None, tuple[str, ...]] = (None, ())
        for stretch, heard in self._hear(recording, pooled, progress):
            notes = self._notes(stretch)
            similarities = heard.similarities if heard and heard.similarities is not None else [None] * len(sentences)
            scores = heard.scores if heard and heard.scores is not None else [None] * len(sentences)
            matches = tuple(map(TextMatch, sentences, similarities, scores))
            location = heard.location if heard else Location(reason=stretch.reason)
            windows.append(
                Window(start_s=stretch.start_s, end_s=stretch.end_s, results=matches, **_fields_of(location))
            )
        return tuple(windows), notes

    def _notes(self, stretch: Stretch) -> tuple[int | None, tuple[str, ...]]:
        resampled_from, warnings = stretch.notes(self.sample_rate)
        if stretch.start_s == 0.0 and stretch.audio.duration_s < _SHORT_S:
            warnings += (
                f"{stretch.audio.duration_s:.3g} s are very short: the model learned from four seconds, and "
                f"direction and confidence mean little below {_SHORT_S:g} s",
            )
        return resampled_from, warnings

    def _hear(
        self, recording: OpenRecording, pooled: Tensor | None, progress: Progress | None
    ) -> Iterator[tuple[Stretch, _Heard | None]]:
        """Every window and what the model made of it (None for silence), a batch at a time."""
        for batch in _batches(recording.stretches()):
            audible = [stretch for stretch in batch if not stretch.is_silent]
            answers = iter(self._forward(audible, pooled) if audible else [])
            for stretch in batch:
                yield stretch, None if stretch.is_silent else next(answers)
            if progress is not None:
                progress(min(batch[-1].end_s, recording.duration_s), recording.duration_s)

    @torch.inference_mode()
    def _forward(self, stretches: list[Stretch], pooled: Tensor | None) -> list[_Heard]:
        recordings = [stretch.audio.resample(self.sample_rate) for stretch in stretches]
        inputs: dict[str, Any] = {}
        for name, value in self.processor.feature_extractor(recordings).items():
            moved = value.to(self.model.device)
            inputs[name] = moved.to(self.model.dtype) if moved.is_floating_point() else moved
        inputs.pop("is_spatial")  # it masks losses; here `reason` says where there is no direction
        if pooled is None:
            output: Any = self.model.localize(**inputs)
            similarities = scores = None
        else:
            output = self.model(pooled_text=pooled, **inputs)
            similarities = (output.audio_embeds @ output.text_embeds.T).cpu().double().tolist()
            scores = output.logits_per_audio.cpu().double().softmax(-1).tolist() if len(pooled) > 1 else None
        embeddings = output.audio_embeds
        if not torch.isfinite(embeddings).all():
            raise CheckpointError("the model answered with NaN: its weights are damaged, or the precision is too low")
        places = self._locations(output, [stretch.reason for stretch in stretches])
        return [
            _Heard(
                embeddings[row].cpu(),
                similarities[row] if similarities is not None else None,
                scores[row] if scores is not None else None,
                places[row],
            )
            for row in range(len(stretches))
        ]

    def _locations(self, output: Any, reasons: list[str | None]) -> list[Location]:
        if output.direction_concentration is None:
            return [Location(reason=reason or NO_CONFIDENCE_HEAD) for reason in reasons]
        kappa = output.direction_concentration.cpu().double()
        confidence = vmf_probability_within(kappa, CONFIDENT_WITHIN_DEG)
        azimuth_deg, elevation_deg = direction_of(output.direction.cpu().double())
        return [
            Location(reason=reason)
            if reason is not None
            else Location(
                azimuth_deg=float(azimuth_deg[row]),
                elevation_deg=float(elevation_deg[row]),
                distance_m=float(output.distance_m[row]),
                confidence=float(confidence[row]),
                spread_deg=spread_deg(float(kappa[row])),
            )
            for row, reason in enumerate(reasons)
        ]


def checked_sentences(
    texts: str | Iterable[str], kind: str = "sentence", expected: str = "a dog barking from the left"
) -> list[str]:
    """One sentence or several as a list.

    Args:
        texts: What was given.
        kind: What messages call it.
        expected: One as it should be, for messages.

    Raises:
        TextError: No sentence at all, an empty one, something that is no text, or one that is too long.
    """
    sentences = [texts] if isinstance(texts, str) else list(texts) if isinstance(texts, Iterable) else [texts]
    if not sentences:
        raise TextError(f"no {kind} was given: write one, as in {expected!r}")
    for number, sentence in enumerate(sentences, 1):
        if not isinstance(sentence, str):
            raise TextError(f"{kind} {number} is of type {type(sentence).__name__}; expected text")
        if not sentence.strip():
            raise TextError(f"{kind} {number} is empty: write what is asked for, as in {expected!r}")
        if len(sentence) > LIMITS.max_text_characters:
            raise TextError(
                f"{kind} {number} has {len(sentence)} characters; at most {LIMITS.max_text_characters} are read"
            )
        try:
            sentence.encode("utf-8")
        except UnicodeEncodeError as error:
            raise TextError(f"{kind} {number} is not valid Unicode: {error.reason}") from error
    return sentences


def spread_deg(kappa: float) -> float:
    """Half opening of the cone around a direction that holds the true one with a probability of 0.8.

    The inverse of `vmf_probability_within`.

    Args:
        kappa: Concentration of the von Mises-Fisher distribution, > 0.

    Returns:
        Degrees in (0, 180).
    """
    outside = 1 - SPREAD_PROBABILITY * -math.expm1(-2 * kappa)
    cosine = max(1 + math.log(outside) / kappa, -1.0)
    return float(direction_of([cosine, math.sqrt(1 - cosine**2), 0.0])[0])


def _cosine(match: TextMatch) -> float:
    return -math.inf if match.similarity is None else match.similarity


def _batches(stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    iterator = iter(stretches)
    while batch := list(itertools.islice(iterator, _BATCH)):
        yield batch


def _fields_of(location: Location) -> dict[str, Any]:
    return {field.name: getattr(location, field.name) for field in fields(Location)}


def _result(
    recording: OpenRecording,
    windows: tuple[Window, ...],
    chosen: Window,
    matches: tuple[TextMatch, ...],
    resampled_from: int | None,
    warnings: tuple[str, ...],
) -> QueryResult:
    """The answer of a recording, with the place as it is heard in one window."""
    return QueryResult(
        file=recording.file,
        results=matches,
        start_s=chosen.start_s,
        end_s=chosen.end_s,
        windows=windows,
        resampled_from=resampled_from,
        warnings=warnings,
        **_fields_of(chosen),
    )
