"""The engine for captions: says what a recording holds, and where, with a captioner that is loaded once.

    >>> from spatial_audio_lm import RecordingCaptioner
    >>> captioner = RecordingCaptioner.from_pretrained()  # captioner-tiny, from the package
    >>> captioner.caption("clip.wav").best.caption

It resamples to the rate of the model's ear and says so (`resampled_from`); nothing else is changed silently.
"""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError, ChannelError, CheckpointError, ConfigError
from spatial_audio_lm.language.sound_names import ANSWER_NAMES
from spatial_audio_lm.layers.encoder_inputs import named_audio_inputs
from spatial_audio_lm.models.checkpoints import DEFAULT_CAPTION_MODEL, checkpoint_folder
from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
    SpatialCaptionerForConditionalGeneration,
)
from spatial_audio_lm.models.spatial_captioner.processing_spatial_captioner import SpatialCaptionerProcessor
from spatial_audio_lm.pipelines.captioning_answers import CaptionedRecording, WrittenCaption
from spatial_audio_lm.pipelines.hearing import channels_heard, extractor_options, longest_s, window_of_long_s
from spatial_audio_lm.pipelines.locating import LOUD_RANGE_DB
from spatial_audio_lm.pipelines.pretrained import load_whole, model_type_of
from spatial_audio_lm.pipelines.recordings import WHOLE_S, OpenRecording, Recording, Stretch
from spatial_audio_lm.pipelines.search_numbers import number_of_beams, whole_number
from spatial_audio_lm.signal.mono_choice import require_mono_choice

_WINDOWS = 8  # that are heard together

Progress = Callable[[float, float], None]


class RecordingCaptioner:
    """A captioner and its processor, ready to write.

    Args:
        model: It is set to eval.
        processor: Of the same checkpoint.

    Raises:
        ConfigError: A processor whose tokenizer is of another language model.
    """

    def __init__(self, model: SpatialCaptionerForConditionalGeneration, processor: SpatialCaptionerProcessor):
        vocabulary = model.config.text_config.vocab_size
        if len(processor.tokenizer) > vocabulary:
            raise ConfigError(
                f"the processor's tokenizer has {len(processor.tokenizer)} tokens, the model {vocabulary}: use the "
                "processor that was saved with the model"
            )
        self.model, self.processor = model.eval(), processor

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = DEFAULT_CAPTION_MODEL, device: str | torch.device | None = None
    ) -> "RecordingCaptioner":
        """Loads a packaged checkpoint by name, or any folder written by `save_pretrained` of model and processor.

        Args:
            name_or_path: For example "captioner-tiny".
            device: Where to compute; the CPU if not given.

        Raises:
            CheckpointError: No such checkpoint, another kind of model, or damaged files.
        """
        folder = checkpoint_folder(name_or_path)
        kind = model_type_of(folder)
        if kind != "spatial_captioner":
            raise CheckpointError(
                f"{folder} holds a model of type {kind!r}; captions need 'spatial_captioner' (query takes 'elsa', ask "
                "takes 'bat')"
            )
        model, processor = load_whole(folder, SpatialCaptionerForConditionalGeneration, SpatialCaptionerProcessor)
        return cls(model.to(device) if device is not None else model, processor)

    @property
    def sample_rate(self) -> int:
        """Rate in Hz at which the model hears."""
        return int(self.processor.feature_extractor.sampling_rate)

    @property
    def whole_s(self) -> float:
        """The longest recording that is heard as one window, in seconds."""
        return longest_s(self.processor.feature_extractor) or WHOLE_S

    @property
    def window_s(self) -> float:
        """Length of the windows of a longer one; they begin half a window apart."""
        return window_of_long_s(self.processor.feature_extractor) or WHOLE_S

    def caption(
        self,
        audio: Recording,
        format: str | None = None,
        mono: str = "refuse",
        max_new_tokens: int | None = None,
        num_beams: int = 1,
        progress: Progress | None = None,
    ) -> CaptionedRecording:
        """What a recording holds, in words.

        A recording longer than `whole_s` is heard window by window, and each window has its caption. That of the
        recording is one of those that are at most 10 dB quieter than the loudest: the one of greatest confidence.

        Args:
            audio: `SpatialAudio`, a path, or a dictionary with `array`, `sampling_rate` and perhaps `format`.
            format: Format of a file where its channels do not tell it.
            mono: What to do with one channel where the ear has more: "refuse", or "duplicate" it to all of them; what
                the caption says of a place is then not taken for one. ELSA hears mono either way.
            max_new_tokens: Tokens of the longest caption; a longer one is cut off there, and says so (`complete`).
                None: 96, or as many as the language model has positions for.
            num_beams: Beams of the search, up to 64; 1 takes the likeliest token each time.
            progress: Called with the seconds done and the seconds in all.

        Raises:
            ConfigError: A `mono` that there is not, or numbers that are too small, too large or not whole.
            ChannelError: A recording that the model's ear does not hear.
            SpatialAudioError: A recording that cannot be used, with the way out.
        """
        require_mono_choice(mono)
        tokens = self.allowed_tokens(max_new_tokens)
        beams = number_of_beams(num_beams)
        recording = OpenRecording(audio, format)
        windows: list[WrittenCaption] = []
        resampled_from: int | None = None
        warnings: tuple[str, ...] = ()
        stretches = recording.stretches(self.whole_s, self.window_s, self.window_s / 2)
        while batch := list(itertools.islice(stretches, _WINDOWS)):
            if audible := [stretch for stretch in batch if not stretch.is_silent]:
                windows += self._write(self._hear(recording, audible, mono), audible, tokens, beams)
            resampled_from, warnings = batch[-1].notes(self.sample_rate)
            if progress is not None:
                progress(min(batch[-1].end_s, recording.duration_s), recording.duration_s)
        if not windows:
            raise AudioValueError(
                f"{recording.name}: is silent from begin to end, so that nothing can be said of it: check the "
                "recording's level"
            )
        loudest = max(window.level_db for window in windows)
        loud = (window for window in windows if window.level_db >= loudest - LOUD_RANGE_DB)
        return CaptionedRecording(
            file=recording.file,
            best=max(loud, key=lambda window: window.confidence),
            windows=tuple(windows),
            resampled_from=resampled_from,
            warnings=warnings,
        )

    def allowed_tokens(self, wanted: int | None) -> int:
        """How many tokens a caption may have.

        Args:
            wanted: None: 96, or as many as the language model has positions for.

        Raises:
            ConfigError: no whole number, fewer than 1, or more than there are positions for.
        """
        config = self.model.config
        if wanted is None:
            return int(config.caption_tokens)
        return whole_number("max_new_tokens", wanted, config.positions_for_captions)

    @torch.inference_mode()
    def _hear(self, recording: OpenRecording, stretches: list[Stretch], mono: str) -> Tensor:
        """Windows as vectors, `(windows, embedding_dim)`."""
        kind, extractor = self.model.config.audio_config.model_type, self.processor.feature_extractor
        try:
            heard: list[Any] = [
                channels_heard(stretch.audio.resample(self.sample_rate), kind, extractor, mono) for stretch in stretches
            ]
            features = named_audio_inputs(extractor(heard, **extractor_options(kind, mono)))
        except (AudioValueError, ChannelError) as error:
            raise type(error)(f"{recording.name}: {error}") from error
        encoder = self.model.audio_encoder
        inputs = {
            name: value.to(encoder.device, encoder.dtype if value.is_floating_point() else None)
            for name, value in features.items()
        }
        vectors: Tensor = self.model.encode(**inputs)
        if not torch.isfinite(vectors).all():
            if not all(bool(torch.isfinite(value).all()) for value in inputs.values()):
                peak = max(float(audio.waveform.abs().max()) for audio in heard)
                raise AudioValueError(
                    f"{recording.name}: has a peak of {peak:.3g}, which no feature can hold: scale it to -1..1"
                )
            raise CheckpointError("the model answered with NaN: its weights are damaged, or the precision is too low")
        return vectors

    @torch.inference_mode()
    def _write(
        self, vectors: Tensor, stretches: list[Stretch], max_new_tokens: int, beams: int
    ) -> list[WrittenCaption]:
        """The captions of windows that were heard."""
        output: Any = self.model.generate(
            audio_embeds=vectors,
            max_new_tokens=max_new_tokens,
            num_beams=beams,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
        said = output.sequences
        likelihood = self.model.compute_transition_scores(
            said, output.scores, getattr(output, "beam_indices", None), normalize_logits=True
        ).double()
        end = self.model.generation_config.eos_token_id
        ends = torch.isin(said, torch.tensor(end if isinstance(end, list) else [end], device=said.device))
        before_end = ends.long().cumsum(1) - ends.long() == 0  # the token that ends a caption is part of it
        told = before_end[:, : likelihood.shape[1]]
        # Of the whole caption it would be greatest where least is said.
        probabilities = (likelihood.masked_fill(~told, 0.0).sum(1) / told.sum(1)).exp()
        written = []
        for row, (text, stretch) in enumerate(zip(self.processor.decode_captions(said), stretches, strict=True)):
            mean_square = float(stretch.audio.waveform.double().square().mean())
            written.append(
                WrittenCaption.read(
                    text,
                    ANSWER_NAMES.values(),
                    stretch.reason,
                    confidence=min(float(probabilities[row]), 1.0),
                    complete=bool(ends[row].any()),
                    start_s=stretch.start_s,
                    end_s=stretch.end_s,
                    level_db=10.0 * math.log10(mean_square),
                )
            )
        return written
