"""The engine for questions: asks recordings questions, with a BAT that is loaded once.

    >>> from spatial_audio_lm import QuestionAnswerer
    >>> ask = QuestionAnswerer.from_pretrained("bat-tiny")
    >>> (said,) = ask.ask("clip.wav", "In which direction and at what distance is the sound?")
    >>> said.best.text, said.best.left_right, said.best.distance_m

It resamples to the rate of the model's ear and says so (`resampled_from`); nothing else is changed silently.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError, ChannelError, CheckpointError, ConfigError, TextError
from spatial_audio_lm.language.sound_names import ANSWER_NAMES, spoken_forms
from spatial_audio_lm.models.bat.audio_tokens_bat import named_audio_inputs
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.bat.processing_bat import BatProcessor
from spatial_audio_lm.models.checkpoints import DEFAULT_QUESTION_MODEL, checkpoint_folder
from spatial_audio_lm.pipelines.hearing import channels_heard, extractor_options, longest_s, window_of_long_s
from spatial_audio_lm.pipelines.locating import LOUD_RANGE_DB
from spatial_audio_lm.pipelines.pretrained import load_whole, model_type_of, require_trained
from spatial_audio_lm.pipelines.querying import checked_sentences
from spatial_audio_lm.pipelines.recordings import OpenRecording, Recording, Stretch
from spatial_audio_lm.pipelines.search_numbers import number_of_beams, whole_number
from spatial_audio_lm.pipelines.spoken_answers import AnsweredQuestion, SpokenAnswer
from spatial_audio_lm.signal.mono_choice import require_mono_choice

MAX_NEW_TOKENS = 64  # of an answer; the longest of SpatialSoundQA's grammar are names of two sounds
_LONGEST_S = 10.0  # of what is heard at once by an ear that would take any length: as long as SpatialSoundQA's sounds
_WINDOWS = 8  # that are encoded together
_ROWS = 16  # pairs of window and question that are answered together

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class _Said:
    """The words of one answer."""

    text: str
    confidence: float
    complete: bool


class QuestionAnswerer:
    """A BAT and its processor, ready to answer.

    Args:
        model: It is set to eval.
        processor: Of the same checkpoint.

    Raises:
        ConfigError: A processor that makes other placeholders than the model has.
    """

    def __init__(self, model: BatForConditionalGeneration, processor: BatProcessor):
        made = (processor.audio_token_id, processor.num_query_tokens)
        wanted = (model.config.audio_token_id, model.config.num_query_tokens)
        if made != wanted:
            raise ConfigError(
                f"the processor's audio token and number of queries are {made}, the model's {wanted}: use the "
                "processor that was saved with the model"
            )
        self.model, self.processor = model.eval(), processor
        self.names = _names_of(model.config.audio_config)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = DEFAULT_QUESTION_MODEL, device: str | torch.device | None = None
    ) -> "QuestionAnswerer":
        """Loads a packaged checkpoint by name, or any folder written by `save_pretrained` of model and processor.

        Args:
            name_or_path: For example "bat-tiny".
            device: Where to compute; the CPU if not given.

        Raises:
            CheckpointError: No such checkpoint, another kind of model, or damaged files.
        """
        folder = checkpoint_folder(name_or_path)
        kind = model_type_of(folder)
        if kind != "bat":
            raise CheckpointError(
                f"{folder} holds a model of type {kind!r}; answering questions needs 'bat' (query takes 'elsa')"
            )
        require_trained(folder)
        model, processor = load_whole(folder, BatForConditionalGeneration, BatProcessor)
        return cls(model.to(device) if device is not None else model, processor)

    @property
    def sample_rate(self) -> int:
        """Rate in Hz at which the model hears."""
        return int(self.processor.feature_extractor.sampling_rate)

    @property
    def whole_s(self) -> float:
        """The longest recording that is heard as one window, in seconds."""
        return longest_s(self.processor.feature_extractor) or _LONGEST_S

    @property
    def window_s(self) -> float:
        """Length of the windows of a longer one; they begin half a window apart."""
        return window_of_long_s(self.processor.feature_extractor) or _LONGEST_S

    def ask(
        self,
        audio: Recording,
        questions: str | Iterable[str],
        format: str | None = None,
        mono: str = "refuse",
        max_new_tokens: int = MAX_NEW_TOKENS,
        num_beams: int = 1,
        progress: Progress | None = None,
    ) -> list[AnsweredQuestion]:
        """Answers to questions about a recording, which is heard once for all of them.

        A recording longer than `whole_s` is heard window by window. Each question is answered by one of those that are
        at most 10 dB quieter than the loudest: the one whose answer has the greatest confidence.

        Args:
            audio: `SpatialAudio`, a path, or a dictionary with `array`, `sampling_rate` and perhaps `format`.
            questions: One or several.
            format: Format of a file where its channels do not tell it.
            mono: What to do with one channel where the ear has more: "refuse", or "duplicate" it to all of them; sides
                and distance of the answers are then None. ELSA hears mono either way.
            max_new_tokens: Tokens of the longest answer; a longer one is cut off there, and says so (`complete`).
            num_beams: Beams of the search, up to 64; 1 takes the likeliest token each time.
            progress: Called with the seconds done and the seconds in all.

        Returns:
            One answer a question, in their order.

        Raises:
            TextError: No question, an empty one, or one that is too long for the language model.
            ConfigError: A `mono` that there is not, or numbers that are too small, too large or not whole.
            ChannelError: A recording that the model's ear does not hear.
            SpatialAudioError: A recording that cannot be used, with the way out.
        """
        asked = checked_questions(questions)
        require_mono_choice(mono)
        tokens, beams = whole_number("max_new_tokens", max_new_tokens), number_of_beams(num_beams)
        self._require_short(asked, tokens)
        recording = OpenRecording(audio, format)
        answers: list[list[SpokenAnswer]] = [[] for _ in asked]
        resampled_from: int | None = None
        warnings: tuple[str, ...] = ()
        stretches = recording.stretches(self.whole_s, self.window_s, self.window_s / 2)
        while batch := list(itertools.islice(stretches, _WINDOWS)):
            audible = [stretch for stretch in batch if not stretch.is_silent]
            if audible:
                embeds = self._hear(recording, audible, mono)
                pairs = list(itertools.product(range(len(audible)), range(len(asked))))
                for start in range(0, len(pairs), _ROWS):
                    rows = pairs[start : start + _ROWS]
                    said = self._generate(embeds, [(row, asked[n]) for row, n in rows], tokens, beams)
                    for (row, number), words in zip(rows, said, strict=True):
                        answers[number].append(self._read(words, audible[row]))
            resampled_from, warnings = batch[-1].notes(self.sample_rate)
            if progress is not None:
                progress(min(batch[-1].end_s, recording.duration_s), recording.duration_s)
        if not answers[0]:
            raise AudioValueError(
                f"{recording.name}: is silent from begin to end, so that nothing can be asked about it: check the "
                "recording's level"
            )
        return [
            AnsweredQuestion(
                file=recording.file,
                question=question,
                best=_telling(windows),
                windows=tuple(windows),
                resampled_from=resampled_from,
                warnings=warnings,
            )
            for question, windows in zip(asked, answers, strict=True)
        ]

    def _read(self, said: _Said, stretch: Stretch) -> SpokenAnswer:
        mean_square = float(stretch.audio.waveform.double().square().mean())
        return SpokenAnswer.read(
            said.text,
            self.names,
            stretch.reason,
            confidence=said.confidence,
            complete=said.complete,
            start_s=stretch.start_s,
            end_s=stretch.end_s,
            level_db=10.0 * math.log10(mean_square),
        )

    def _require_short(self, questions: list[str], max_new_tokens: int) -> None:
        longest = getattr(self.model.config.text_config, "max_position_embeddings", None)
        if longest is None:
            return
        for question in questions:
            length = self.processor.tokenize_questions(question)["input_ids"].shape[1] + max_new_tokens
            if length > longest:
                raise TextError(
                    f"the question {question[:40]!r}... and its answer may have {length} tokens; this model reads "
                    f"{longest}: shorten it, or lower max_new_tokens ({max_new_tokens})"
                )

    @torch.inference_mode()
    def _hear(self, recording: OpenRecording, stretches: list[Stretch], mono: str) -> Tensor:
        """Windows as embeddings of the language model, `(windows, num_query_tokens, text width)`."""
        kind, extractor = self.model.config.audio_config.model_type, self.processor.feature_extractor
        try:
            heard: list[Any] = [
                channels_heard(stretch.audio.resample(self.sample_rate), kind, extractor, mono) for stretch in stretches
            ]
            features = extractor(heard, **extractor_options(kind, mono))
        except (AudioValueError, ChannelError) as error:
            raise type(error)(f"{recording.name}: {error}") from error
        audio_model = self.model.audio_model
        inputs: dict[str, Tensor] = {
            name: value.to(audio_model.device, audio_model.dtype if value.is_floating_point() else None)
            for name, value in named_audio_inputs(features).items()
        }
        embeds: Tensor = self.model.get_audio_features(**inputs, return_dict=True).pooler_output
        if not torch.isfinite(embeds).all():
            if not all(bool(torch.isfinite(value).all()) for value in inputs.values()):
                peak = max(float(audio.waveform.abs().max()) for audio in heard)
                raise AudioValueError(
                    f"{recording.name}: has a peak of {peak:.3g}, which no feature can hold: scale it to -1..1"
                )
            raise CheckpointError("the model answered with NaN: its weights are damaged, or the precision is too low")
        return embeds

    @torch.inference_mode()
    def _generate(
        self, embeds: Tensor, pairs: Sequence[tuple[int, str]], max_new_tokens: int, beams: int
    ) -> list[_Said]:
        """What is said to pairs of a window's number and a question."""
        rows, questions = zip(*pairs, strict=True)
        tokens = self.processor.tokenize_questions(list(questions))
        device = self.model.device
        output: Any = self.model.generate(
            **{name: value.to(device) for name, value in tokens.items()},
            audio_embeds=embeds[list(rows)],
            max_new_tokens=max_new_tokens,
            num_beams=beams,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
        said = output.sequences[:, tokens["input_ids"].shape[1] :]
        likelihood = self.model.compute_transition_scores(
            output.sequences, output.scores, getattr(output, "beam_indices", None), normalize_logits=True
        ).double()
        ends = torch.isin(said, torch.tensor(_ends_of(self.model), device=said.device))
        before_end = ends.long().cumsum(1) - ends.long() == 0  # the token that ends an answer is part of it
        probabilities = likelihood.masked_fill(~before_end[:, : likelihood.shape[1]], 0.0).sum(1).exp()
        texts = self.processor.decode_answers(said)
        return [
            _Said(text, min(probability, 1.0), complete)
            for text, probability, complete in zip(texts, probabilities.tolist(), ends.any(1).tolist(), strict=True)
        ]


def checked_questions(questions: str | Iterable[str] | None) -> list[str]:
    """One question or several as a list.

    Raises:
        TextError: No question at all, an empty one, something that is no text, or one that is too long.
    """
    if questions is None or (not isinstance(questions, str) and isinstance(questions, Sequence) and not questions):
        raise TextError("no question was given: ask one, as in question='What do you hear?'")
    return checked_sentences(questions, "question", "What do you hear?")


def _names_of(audio_config: Any) -> tuple[str, ...]:
    """Sounds that answers may name: the vocabulary's, and what the ear has learned to tell apart besides."""
    labels = getattr(audio_config, "id2label", None) or {}
    own = spoken_forms(ANSWER_NAMES.values())
    learned = [label for label in labels.values() if not re.fullmatch(r"LABEL_\d+", label)]
    others = [label for label in learned if " ".join(label.lower().split()) not in own]
    return (*ANSWER_NAMES.values(), *others)


def _telling(windows: list[SpokenAnswer]) -> SpokenAnswer:
    """The window that answers for a recording: see `QuestionAnswerer.ask`."""
    loudest = max(window.level_db for window in windows)
    return max(
        (window for window in windows if window.level_db >= loudest - LOUD_RANGE_DB),
        key=lambda window: window.confidence,
    )


def _ends_of(model: Any) -> list[int]:
    ends = model.generation_config.eos_token_id
    return list(ends) if isinstance(ends, list) else [] if ends is None else [ends]
