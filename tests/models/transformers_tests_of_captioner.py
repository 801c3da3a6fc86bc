"""transformers' common model tests of the captioner; `test_captioner_transformers.py` runs them in a process."""

import unittest
from typing import Any

import torch
from transformers_tests.generation.test_utils import GenerationTesterMixin
from transformers_tests.test_configuration_common import ConfigTester
from transformers_tests.test_modeling_common import ModelTesterMixin

from spatial_audio_lm.models.spatial_captioner.configuration_spatial_captioner import SpatialCaptionerConfig
from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
    SpatialCaptionerForConditionalGeneration,
)
from tests.models.captioner_cases import SMALL_EAR, SMALL_GPT2
from tests.models.model_cases import noise


class CaptionerModelTester:
    """A small captioner and its inputs, in the words of transformers' tests."""

    batch_size, is_training = 7, True
    seq_length = 8  # the prefix and seven tokens
    hidden_size, num_hidden_layers, num_attention_heads = 24, 2, 2

    def get_config(self) -> SpatialCaptionerConfig:
        return SpatialCaptionerConfig(audio_config=SMALL_EAR, text_config=SMALL_GPT2)

    def prepare_config_and_inputs_for_common(self) -> tuple[SpatialCaptionerConfig, dict[str, Any]]:
        ids = torch.randint(4, 40, (self.batch_size, 7), generator=torch.Generator().manual_seed(0))
        audio = {
            "input_features": noise(0, self.batch_size, 1, 40, 64),
            "spatial_features": noise(1, self.batch_size, 7, 40, 16).clamp(-1, 1),
        }
        return self.get_config(), {"input_ids": ids, "attention_mask": torch.ones_like(ids), **audio}


class CaptionerTest(ModelTesterMixin, GenerationTesterMixin, unittest.TestCase):
    all_model_classes = (SpatialCaptionerForConditionalGeneration,)
    additional_model_inputs = ("input_features", "spatial_features")
    _is_composite = True

    def setUp(self) -> None:
        self.model_tester = CaptionerModelTester()
        self.config_tester = ConfigTester(self, config_class=SpatialCaptionerConfig, has_text_modality=False)

    def test_config(self) -> None:
        self.config_tester.run_common_tests()

    def _prepare_for_class(self, inputs: dict[str, Any], model_class: type, return_labels: bool = False) -> Any:
        prepared = super()._prepare_for_class(inputs, model_class, return_labels)
        if return_labels:  # transformers' tables do not list the class
            prepared["labels"] = torch.zeros_like(prepared["input_ids"])
        return prepared
