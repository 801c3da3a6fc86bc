"""Recordings and captions to the inputs of the captioner, in one call; and what it writes back to words."""

from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin, SequenceFeatureExtractor

from spatial_audio_lm.errors import AudioValueError, ConfigError, TextError
from spatial_audio_lm.features.audio_inputs import AudioInput
from spatial_audio_lm.layers.encoder_inputs import AUDIO_INPUTS, named_audio_inputs

IGNORED = -100  # a label that is not learned


class SpatialCaptionerProcessor(ProcessorMixin):
    """A feature extractor and a tokenizer.

    A caption is its tokens and the token that ends a text; the prefix that the model puts before them begins it, so
    that what a tokenizer may begin a text with is left out. Recordings keep their channels in every form that they are
    given in.

    Args:
        feature_extractor: of the encoder.
        tokenizer: of the language model; captions may have `model_max_length` tokens.

    Raises:
        ConfigError: a tokenizer without a token that ends a text.
    """

    def __init__(self, feature_extractor: SequenceFeatureExtractor, tokenizer: PreTrainedTokenizerBase):
        if tokenizer.eos_token_id is None:
            raise ConfigError("the tokenizer has no token that ends a text (eos_token): a caption would have no end")
        super().__init__(feature_extractor, tokenizer)

    @property
    def model_input_names(self) -> list[str]:
        """Everything that a call may give."""
        return ["input_ids", "attention_mask", *AUDIO_INPUTS]

    def __call__(
        self,
        audio: AudioInput | list[AudioInput] | None = None,
        text: str | list[str] | None = None,
        sampling_rate: int | None = None,
        format: str | None = None,
        return_tensors: str = "pt",
        **audio_options: Any,
    ) -> BatchFeature:
        """Inputs for `SpatialCaptionerForConditionalGeneration`.

        Args:
            audio: one recording or many, in any form that the feature extractor takes.
            text: for each recording its caption, to be learned; None: to be generated.
            sampling_rate: rate of bare arrays in Hz.
            format: format of bare arrays and files, where channels alone do not tell it.
            return_tensors: "pt" or "np".
            audio_options: of the feature extractor (`long_audio="first"`, ...).

        Returns:
            The recordings' features; with captions also `input_ids`, `attention_mask` and `labels`,
            `(batch, tokens)`.

        Raises:
            TextError: captions that are none, see `tokenize_captions`.
            AudioValueError: no recording, or not as many as captions.
            ConfigError: an unknown `return_tensors`.
            SpatialAudioError: recordings that the encoder cannot hear; the message names the way out.
        """
        if return_tensors not in ("pt", "np"):
            raise ConfigError(f"return_tensors is {return_tensors!r}; expected 'pt' or 'np'")
        if audio is None:
            raise AudioValueError("no recording: give audio (tokenize_captions makes the tokens of captions alone)")
        inputs = named_audio_inputs(self.feature_extractor(audio, sampling_rate, format, **audio_options))
        if text is not None:
            tokens, rows = self.tokenize_captions(text), len(next(iter(inputs.values())))
            if len(tokens["input_ids"]) != rows:
                raise AudioValueError(
                    f"{len(tokens['input_ids'])} captions and {rows} recordings (or pieces of them): give one caption "
                    "a recording"
                )
            inputs = tokens | inputs
        return BatchFeature(inputs if return_tensors == "pt" else {n: value.numpy() for n, value in inputs.items()})

    def tokenize_captions(self, text: str | list[str]) -> dict[str, Tensor]:
        """Tokens of captions alone: for recordings that were encoded before.

        Args:
            text: one caption or many.

        Returns:
            `input_ids`, `attention_mask` and `labels` (-100 on padding) `(batch, tokens)`, int64, padded behind.

        Raises:
            TextError: a caption that is empty, no text, or too long for the language model.
        """
        captions = [text] if isinstance(text, str) else list(text)
        for number, caption in enumerate(captions):
            if not isinstance(caption, str) or not caption.strip():
                what = "is empty" if isinstance(caption, str) else f"is a {type(caption).__name__}, not a text"
                raise TextError(f"caption {number} {what}: give each recording a sentence, or leave the recording out")
        if not captions:
            raise TextError("there is no caption: give one or more")
        end = self.tokenizer.eos_token_id
        encoded = self.tokenizer(captions, add_special_tokens=False, verbose=False)["input_ids"]
        sequences = [[*ids, end] for ids in encoded]
        longest = max(range(len(sequences)), key=lambda number: len(sequences[number]))
        if len(sequences[longest]) > self.tokenizer.model_max_length:
            raise TextError(
                f"caption {longest} has {len(sequences[longest])} tokens, {captions[longest][:60]!r}...; this "
                f"language model writes {self.tokenizer.model_max_length}: shorten it"
            )
        shape = len(sequences), len(sequences[longest])
        pad = self.tokenizer.pad_token_id
        inputs = {
            "input_ids": torch.full(shape, end if pad is None else pad),
            "attention_mask": torch.zeros(shape, dtype=torch.long),
            "labels": torch.full(shape, IGNORED),
        }
        for row, sequence in enumerate(sequences):
            inputs["input_ids"][row, : len(sequence)] = torch.tensor(sequence)
            inputs["attention_mask"][row, : len(sequence)] = 1
            inputs["labels"][row, : len(sequence)] = torch.tensor(sequence)
        return inputs

    def decode_captions(self, generated: Tensor) -> list[str]:
        """The captions in words.

        Args:
            generated: of `generate`, `(batch, tokens)`.
        """
        return [text.strip() for text in self.tokenizer.batch_decode(generated, skip_special_tokens=True)]
