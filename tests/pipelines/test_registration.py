"""`import spatial_audio_lm` is light, and transformers knows the models whichever of the two is imported first."""

import json
import subprocess
import sys

import pytest

import spatial_audio_lm

KNOWN = """
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoProcessor
from transformers.pipelines import PIPELINE_REGISTRY
from spatial_audio_lm import ElsaConfig, ElsaFeatureExtractor, ElsaModel, ElsaProcessor
import spatial_audio_lm.pipelines.registration as registration, sys
assert isinstance(AutoConfig.for_model("elsa"), ElsaConfig)
assert AutoModel._model_mapping[ElsaConfig] is ElsaModel
assert "zero-shot-spatial-audio-classification" in PIPELINE_REGISTRY.supported_tasks
assert not any(isinstance(finder, registration._RegistrationHook) for finder in sys.meta_path)
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_is_light():
    loaded = json.loads(run("import spatial_audio_lm, sys, json; print(json.dumps(sorted(sys.modules)))"))
    assert not {"torch", "transformers", "numpy", "scipy", "matplotlib", "soundfile"} & set(loaded)


@pytest.mark.parametrize(
    "first",
    [
        "import spatial_audio_lm; from transformers import pipeline",
        "from transformers import pipeline, AutoModel; import spatial_audio_lm",
    ],
)
def test_any_order_of_imports(first):
    run(first + KNOWN)


def test_a_transformers_that_fails_does_not_break_the_package(tmp_path):
    # As a torchaudio that does not load does: OSError from deep inside an import.
    broken = "import sys; sys.modules['transformers'] = None; import spatial_audio_lm; print(spatial_audio_lm.packaged)"
    assert "function packaged" in run(broken)


def test_public_names():
    assert all(getattr(spatial_audio_lm, name) is not None for name in spatial_audio_lm.__all__)
    assert set(spatial_audio_lm.__all__) <= set(dir(spatial_audio_lm))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = spatial_audio_lm.no_such_name


def test_the_error_of_a_failed_registration_is_seen_and_tried_again():
    from spatial_audio_lm.pipelines.registration import _RegistrationHook

    hook, calls = _RegistrationHook(), []

    def fail_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("a library does not load")

    hook.steps = [(("sys",), fail_once)]
    with pytest.raises(OSError, match="does not load"):
        hook.run_due_steps()
    hook.run_due_steps()
    hook.run_due_steps()
    assert len(calls) == 2
