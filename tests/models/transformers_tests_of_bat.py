"""transformers' common model tests of BAT; `test_bat_transformers.py` runs them in a process of their own."""

import unittest
from typing import Any

import torch
from transformers.testing_utils import set_config_for_less_flaky_test
from transformers_tests import test_modeling_common
from transformers_tests.generation.test_utils import GenerationTesterMixin
from transformers_tests.test_configuration_common import ConfigTester
from transformers_tests.test_modeling_common import ModelTesterMixin

from spatial_audio_lm.models.bat.configuration_bat import BatConfig
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from tests.models.model_cases import SMALL_BINAURAL, SMALL_LLAMA, SMALL_QFORMER, noise


def _set_what_there_is(config: BatConfig) -> None:
    """transformers sets an epsilon by every name that norms have; an ear's file with unknown settings is refused."""
    known = set(vars(config.audio_config))
    set_config_for_less_flaky_test(config)
    for name in set(vars(config.audio_config)) - known:
        delattr(config.audio_config, name)


test_modeling_common.set_config_for_less_flaky_test = _set_what_there_is


class BatModelTester:
    """A small BAT and its inputs, in the words of transformers' tests."""

    batch_size, seq_length, is_training = 7, 11, True
    hidden_size, num_hidden_layers, num_attention_heads = 24, 2, 2

    def get_config(self) -> BatConfig:
        return BatConfig(
            audio_config={"model_type": "spatial_ast", **SMALL_BINAURAL},
            qformer_config=SMALL_QFORMER,
            text_config=SMALL_LLAMA,
            num_query_tokens=4,
            lora_rank=0,
            audio_token_id=3,  # small: some tests cut the vocabulary
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[BatConfig, dict[str, Any]]:
        config = self.get_config()
        text = torch.randint(4, 40, (self.batch_size, 7), generator=torch.Generator().manual_seed(0))
        ids = torch.cat([torch.full((self.batch_size, 4), config.audio_token_id), text], dim=1)
        features = noise(0, self.batch_size, 4, 32, 16)
        return config, {"input_ids": ids, "attention_mask": torch.ones_like(ids), "input_features": features}


class BatTest(ModelTesterMixin, GenerationTesterMixin, unittest.TestCase):
    all_model_classes = (BatForConditionalGeneration,)
    additional_model_inputs = ("input_features",)
    _is_composite = True

    def setUp(self) -> None:
        self.model_tester = BatModelTester()
        self.config_tester = ConfigTester(self, config_class=BatConfig, has_text_modality=False)

    def test_config(self) -> None:
        self.config_tester.run_common_tests()

    def _prepare_for_class(self, inputs: dict[str, Any], model_class: type, return_labels: bool = False) -> Any:
        prepared = super()._prepare_for_class(inputs, model_class, return_labels)
        if return_labels:  # transformers' tables do not list the class
            prepared["labels"] = torch.zeros_like(prepared["input_ids"])
        return prepared
