"""The engines on real models, small and random: llama.cpp's from a GGUF file made here, and transformers'."""

import builtins
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from spatial_audio_lm.captions import rewriting
from spatial_audio_lm.captions.chat_formats import chat_format
from spatial_audio_lm.captions.engine_settings import EngineSettings
from spatial_audio_lm.captions.engines import Completion, Engine, Sampling, until_stop
from spatial_audio_lm.captions.prompts import SLOTS_SCHEMA, Prompt
from spatial_audio_lm.captions.rewriting import LlamaCppEngine, try_gguf
from spatial_audio_lm.captions.transformers_engine import TransformersEngine
from spatial_audio_lm.errors import CheckpointError, ConfigError, MissingExtraError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS
from tests.captions.tiny_causal import write_causal
from tests.captions.tiny_gguf import CONTEXT, write_gguf

CHATML = chat_format("chatml")
SCHEMA = {
    **SLOTS_SCHEMA,
    # A letter that is half of a character is possible for a model of random bytes, and no JSON.
    "properties": {**SLOTS_SCHEMA["properties"], "caption": {"type": "string", "pattern": "^[a-z ]{1,20}$"}},
}


@pytest.fixture(scope="module")
def gguf(tmp_path_factory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def llama(gguf: Path) -> Iterator[LlamaCppEngine]:
    pytest.importorskip("llama_cpp", reason="needs the extra rewrite")
    with LlamaCppEngine(gguf, context=512, threads=1) as engine:
        yield engine


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    return write_causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="module")
def causal(model_folder: Path) -> TransformersEngine:
    return TransformersEngine(model_folder, context=256, batch_size=3)


@pytest.fixture(params=["llama", "causal"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue(request.param)


def chat(text: str) -> Prompt:
    return Prompt(CHATML.render(text), CHATML.stop)


def test_answers_are_a_function_of_prompt_and_seed(engine: Engine) -> None:
    prompts = [chat(text) for text in ("the dog", "a small room", "the sound of the left", "the dog", "the dog")]
    sampling = Sampling(temperature=0.9, max_tokens=24)
    first = engine.complete(prompts, [1, 2, 3, 1, 4], sampling)
    assert len(first) == 5 and first[0] == first[3] != first[4]
    assert engine.complete(prompts[::-1], [4, 1, 3, 2, 1], sampling) == first[::-1]
    assert engine.complete(prompts[2:3], [3], sampling) == first[2:3]
    assert engine.complete([], [], sampling) == []


def test_without_temperature_the_seed_does_not_matter(engine: Engine) -> None:
    cold = Sampling(temperature=0.0, max_tokens=12)
    answers = engine.complete([chat("the dog")] * 2, [1, 2], cold)
    assert answers[0] == answers[1]


def test_what_is_cut_off_says_so(engine: Engine) -> None:
    answers = engine.complete(
        [chat("the dog")] * 24, list(range(24)), Sampling(temperature=2.0, top_p=1.0, max_tokens=40)
    )
    assert {answer.finished for answer in answers} == {True, False}
    assert not any("<|im_end|>" in answer.text for answer in answers)


def test_what_does_not_fit_is_refused_with_the_context_that_is_needed(engine: Engine) -> None:
    with pytest.raises(ConfigError, match=r"the prompt has \d+ tokens and its answer may have 16: a context of \d+ is"):
        engine.complete([chat("the dog " * 500)], [0], Sampling(max_tokens=16))


def test_a_schema_is_forced_by_grammar(llama: LlamaCppEngine) -> None:
    assert llama.forces_schema
    prompts = [Prompt(CHATML.render("left"), CHATML.stop, SCHEMA)] * 6
    said = set()
    for answer in llama.complete(prompts, range(6), Sampling(max_tokens=300)):
        assert answer.finished
        value = json.loads(answer.text)
        assert list(value) == [*ATTRIBUTE_WORDS, "caption"]
        assert all(value[name] in (*words, None) for name, words in ATTRIBUTE_WORDS.items())
        said.add(answer.text)
    assert len(said) > 1
    cut = llama.complete(prompts[:1], [0], Sampling(max_tokens=10))[0]
    assert not cut.finished


def test_markers_are_tokens_and_the_files_template_is_not_compiled(llama: LlamaCppEngine, gguf: Path) -> None:
    # The template in the file is no Jinja: llama_cpp alone compiles it, and fails.
    import llama_cpp

    with pytest.raises(Exception, match="Expected an expression"):
        llama_cpp.Llama(str(gguf), n_ctx=64, verbose=False)
    bare, marked = try_gguf(gguf, 512, 0, ["the dog", "<|im_start|>the dog<|im_end|>"])
    assert marked == bare + 2


def test_a_gguf_is_tried_before_it_is_used(tmp_path: Path, gguf: Path) -> None:
    pytest.importorskip("llama_cpp", reason="needs the extra rewrite")
    with pytest.raises(
        ConfigError, match=f"context is 4096; tiny.gguf was trained with {CONTEXT}: give 8 to that many"
    ):
        LlamaCppEngine(gguf, context=4096)
    # A header that passes, and a network that llama.cpp does not know, or that lacks a tensor.
    sizes = {"whale__context_length": 512, "whale__block_count": 1, "whale__embedding_length": 8}
    write_gguf(tmp_path / "whale.gguf", general__architecture="whale", **sizes)
    with pytest.raises(
        CheckpointError, match=r"whale.gguf cannot be used: .* status 1.*unknown model architecture: 'whale'"
    ):
        LlamaCppEngine(tmp_path / "whale.gguf", context=64)
    write_gguf(tmp_path / "deep.gguf", llama__block_count=3)
    with pytest.raises(CheckpointError, match=r"deep.gguf cannot be used"):
        LlamaCppEngine(tmp_path / "deep.gguf", context=64)


def test_a_file_that_ends_the_process_is_an_error_by_name(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llama_cpp", reason="needs the extra rewrite")
    monkeypatch.setattr(
        rewriting, "_TRIAL", "import os, sys; print('GGML_ASSERT(n > 0) failed', file=sys.stderr); os.abort()"
    )
    with pytest.raises(
        CheckpointError, match=r"ended a process by signal 6. llama.cpp said: 'GGML_ASSERT\(n > 0\) failed'"
    ):
        try_gguf(gguf, context=64)


def test_a_file_that_loads_for_ever_is_given_up(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llama_cpp", reason="needs the extra rewrite")
    monkeypatch.setattr(rewriting, "_TRIAL", "import time; time.sleep(600)")
    monkeypatch.setattr(rewriting, "TRIAL_LIMIT_S", 0.5)
    with pytest.raises(CheckpointError, match="was not loaded within"):
        try_gguf(gguf, context=64)


def test_without_the_extra_the_error_names_it(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: object) -> object:
        if name.split(".")[0] == "llama_cpp":
            raise ImportError("No module named 'llama_cpp'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for call in (lambda: LlamaCppEngine(gguf, context=64), lambda: EngineSettings(str(gguf)).check(["x"], 8)):
        with pytest.raises(MissingExtraError, match=r"llama.cpp needs .* pip install 'spatial-audio-lm\[rewrite\]'"):
            call()
    # The file is looked at first: a wrong path is answered without the extra too.
    with pytest.raises(CheckpointError, match="no such file"):
        LlamaCppEngine(gguf.parent / "none.gguf")


def test_the_engines_are_imported_without_the_extra() -> None:
    code = "import sys; sys.modules['llama_cpp'] = None; import spatial_audio_lm.captions.engine_settings"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parents[2])


def test_transformers_draws_what_the_model_says(causal: TransformersEngine) -> None:
    """The share of a first token over many seeds is its probability."""
    prompt, draws = chat("the dog"), 600
    tokens = causal._tokenizer(prompt.text, return_tensors="pt")
    with torch.inference_mode():
        logits = causal._model(tokens["input_ids"]).logits[0, -1]
    expected = (logits / 0.9).softmax(-1)
    likeliest = int(expected.argmax())
    word = causal._tokenizer.decode([likeliest])
    answers = causal.complete([prompt] * draws, list(range(draws)), Sampling(0.9, 1.0, max_tokens=1))
    share = sum(answer.text == word for answer in answers) / draws
    assert share == pytest.approx(float(expected[likeliest]), abs=0.06)  # three standard deviations


def test_transformers_refuses_what_it_cannot_load(model_folder: Path, tmp_path: Path) -> None:
    assert not TransformersEngine.forces_schema
    with pytest.raises(CheckpointError, match=r"is no causal language model that transformers loads"):
        TransformersEngine(tmp_path)
    with pytest.raises(ConfigError, match=r"context is 9999; .* was made for at most 256"):
        TransformersEngine(model_folder, context=9999)
    with pytest.raises(ConfigError, match="dtype is 'int4'"):
        TransformersEngine(model_folder, dtype="int4", context=64)
    for device in ("warp", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device is '{device}', which cannot be used here"):
            EngineSettings(str(model_folder), "transformers", context=64, device=device).check(["the dog"], 8)
        with pytest.raises(ConfigError, match=f"device is '{device}', which cannot be used here"):
            TransformersEngine(model_folder, device=device, context=64)


@pytest.mark.parametrize("kind", ["llama_cpp", "transformers"])
def test_settings_check_open_and_tell_models_apart(
    kind: str, gguf: Path, model_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "llama_cpp":
        pytest.importorskip("llama_cpp", reason="needs the extra rewrite")
    model = gguf if kind == "llama_cpp" else model_folder
    settings = EngineSettings(str(model), kind, context=256, threads=1)
    settings.check(["the dog", "the dog barks"], 64)
    with pytest.raises(ConfigError, match=r"the longest prompt has .* a context of"):
        settings.check(["the dog", "the dog " * 60], 200)
    with pytest.raises(ConfigError, match=r"no model is given; set engine.model to"):
        EngineSettings(kind=kind).check(["the dog"], 8)
    answers = settings.open().complete([chat("the dog")], [5], Sampling(max_tokens=4))
    assert isinstance(answers[0], Completion)
    assert settings.identity() == EngineSettings(str(model), kind, context=128).identity()
    if kind == "llama_cpp":
        other = EngineSettings(str(write_gguf(tmp_path / "other.gguf", seed=1)), kind)
        assert other.identity() != settings.identity()


def test_a_model_that_is_gone_has_no_identity(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.gguf: no such file"):
        EngineSettings(str(tmp_path / "gone.gguf")).identity()
    with pytest.raises(ConfigError, match="no model is given"):
        EngineSettings().identity()


def test_sampling_out_of_range_is_refused() -> None:
    for wrong in ({"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"max_tokens": 0}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))} is"):
            Sampling(**wrong)


def test_the_first_stop_ends() -> None:
    assert until_stop("a b c", ["c", "b"]) == ("a ", True)
    assert until_stop("a b c", ["d"]) == ("a b c", False)
