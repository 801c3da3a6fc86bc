"""transformers' own common model tests on the captioner, in a process of their own; what is left out has its reason."""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.models.transformers_tests import fetch_transformers_tests

ROOT = Path(__file__).parents[2]

_FROZEN_FIRST = (
    "it watches the first layer, which is the frozen ear's, always in evaluation mode (those behind it are tested in "
    "test_spatial_captioner.py and test_all_models.py)"
)
# Tests that this model is not for.
LEFT_OUT: dict[str, str] = {
    "test_inputs_embeds": "embeddings stand for recording and tokens, and are refused beside them (tested in "
    "test_spatial_captioner.py)",
    "test_model_base_model_prefix": "two models side by side have no base",
    "test_model_weights_reload_no_missing_tied_weights": "it empties a checkpoint and loads it; here one that lacks "
    "weights is refused, not filled up at random",
    "test_training_gradient_checkpointing": _FROZEN_FIRST,
    "test_training_gradient_checkpointing_use_reentrant_false": _FROZEN_FIRST,
    "test_training_gradient_checkpointing_use_reentrant_true": _FROZEN_FIRST,
}
# What transformers says of tests that it leaves out by itself.
ITS_OWN_REASONS: tuple[str, ...] = (
    # machines and libraries
    "test requires (accelerator|multiple accelerators|Flash Attention|the kernels library|MPS|deepspeed)",
    "test is slow",
    # kinds of models that this is none of
    "Not a prioritized model",
    "No (conversion found|decoder-only language modeling head|sequence-to-sequence language modeling head)",
    "does not support grouped_mm|has no sparse experts|no `output_router_logits`",
    "has no _keep_in_fp32_modules",
    "Model does not have (position embeddings|a TP plan)|Model does not support sliding window mask",
    "SpatialCaptionerConfig not in MODEL_MAPPING|no `base_model_class`",
    # a language model's attention weights come through **kwargs, which these do not look into; the parts have other
    # names than they search for
    "Model does not support output_attentions",
    "both a non-text modality tower and a language sub-model|ForConditionalGeneration does not support SDPA",
)


@pytest.mark.slow
def test_transformers_common_model_tests_pass(tmp_path: Path) -> None:
    missing = fetch_transformers_tests(tmp_path)
    if missing is not None:
        pytest.skip(f"transformers' source archive cannot be fetched: {missing}")
    shutil.copy(Path(__file__).parent / "transformers_tests_of_captioner.py", tmp_path / "test_common.py")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "--tb=short",
         "--rootdir", str(tmp_path), "--junitxml", "report.xml", "test_common.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=3000, check=False,
    )  # fmt: skip
    cases = list(ElementTree.parse(tmp_path / "report.xml").iter("testcase"))
    names = {case.get("name", "") for case in cases}
    failed = {c.get("name", "") for c in cases if c.find("failure") is not None or c.find("error") is not None}
    skipped = {c.get("name", ""): skip.get("message", "") for c in cases if (skip := c.find("skipped")) is not None}

    assert not failed - LEFT_OUT.keys(), done.stdout[-20_000:]
    assert not LEFT_OUT.keys() - failed, "these pass by now, or are gone"
    unexplained = {n: why for n, why in skipped.items() if not any(re.search(known, why) for known in ITS_OWN_REASONS)}
    assert not unexplained
    assert len(names - failed - skipped.keys()) > 90  # so many were run, and passed
