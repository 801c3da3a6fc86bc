"""Recordings and sentences to the inputs of ELSA, in one call."""

from typing import Any

import torch
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

from spatial_audio_lm.errors import TextError
from spatial_audio_lm.features.audio_inputs import AudioInput
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor


class ElsaProcessor(ProcessorMixin):
    """A feature extractor and a tokenizer.

    Args:
        feature_extractor: makes the audio inputs.
        tokenizer: makes the text inputs; texts are padded to the longest and cut at its `model_max_length`.
    """

    def __init__(self, feature_extractor: ElsaFeatureExtractor, tokenizer: PreTrainedTokenizerBase):
        super().__init__(feature_extractor, tokenizer)

    def __call__(
        self,
        text: str | list[str] | None = None,
        audio: AudioInput | list[AudioInput] | None = None,
        sampling_rate: int | None = None,
        format: str | None = None,
        generator: torch.Generator | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Inputs for `ElsaModel`.

        Args:
            text: one sentence or many.
            audio: one recording or many, in any form `ElsaFeatureExtractor` takes.
            sampling_rate: rate of bare arrays in Hz.
            format: format of bare arrays and files, where channels alone do not tell it.
            generator: makes crops of long recordings random (fixed-length models only).
            return_tensors: "pt" or "np".

        Returns:
            `input_ids` and `attention_mask` for text, the outputs of the feature extractor for audio.

        Raises:
            TextError: no input at all, or an empty sentence.
        """
        if text is None and audio is None:
            raise TextError("give text, audio, or both")
        inputs: dict[str, Any] = {}
        if text is not None:
            sentences = [text] if isinstance(text, str) else list(text)
            if not sentences or any(not isinstance(sentence, str) or not sentence.strip() for sentence in sentences):
                raise TextError(f"text is {text!r}; expected one or more sentences, none of them empty")
            tokens = self.tokenizer(sentences, padding=True, truncation=True, return_tensors=return_tensors)
            inputs |= {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}
        if audio is not None:
            inputs |= self.feature_extractor(audio, sampling_rate, format, generator, return_tensors)
        return BatchFeature(inputs)
