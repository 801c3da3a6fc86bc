"""What every model must do, whatever it is for."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel

from tests.models import model_cases
from tests.models.captioner_cases import CAPTIONER_CASES
from tests.models.model_cases import Inputs, ModelCase

CASES = model_cases.CASES | CAPTIONER_CASES
TIMED = [name for name, case in CASES.items() if case.mask]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> ModelCase:
    return CASES[request.param]


@pytest.fixture(params=TIMED)
def timed_case(request: pytest.FixtureRequest) -> ModelCase:
    return CASES[request.param]


@torch.no_grad()
def outputs(case: ModelCase, model: torch.nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    result = model(**inputs)
    return {name: result[name] for name in case.shapes}


def difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Largest difference of two answers, relative where numbers are large."""
    pairs = [(first[name].float(), second[name].float()) for name in first]
    return max(((a - b).abs() / (1 + b.abs())).max().item() for a, b in pairs)


def test_shapes(case: ModelCase) -> None:
    answer = outputs(case, case.build(), case.inputs(3))
    assert {name: tuple(value.shape) for name, value in answer.items()} == {
        name: (3, *shape) for name, shape in case.shapes.items()
    }
    assert all(value.isfinite().all() for value in answer.values())


def test_save_and_load_keep_every_parameter_and_buffer(case: ModelCase, tmp_path: Path) -> None:
    model = case.build()
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    for kind in ("named_parameters", "named_buffers"):
        before, after = dict(getattr(model, kind)()), dict(getattr(loaded, kind)())
        assert before.keys() == after.keys()
        for name in before:
            assert before[name].dtype == after[name].dtype, name
            assert torch.equal(before[name], after[name]), name
    inputs = case.inputs(2)
    assert difference(outputs(case, model, inputs), outputs(case, loaded, inputs)) == 0


def test_weights_stored_as_float16_load_as_float32(case: ModelCase, tmp_path: Path) -> None:
    model = case.build()
    half = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    model.save_pretrained(tmp_path, state_dict=dict(half))  # save_pretrained empties what it is given
    stored = load_file(tmp_path / "model.safetensors")
    assert torch.float32 not in {value.dtype for value in stored.values()}
    loaded = type(model).from_pretrained(tmp_path)
    for name, value in loaded.state_dict().items():
        assert value.dtype != torch.float16, name
        assert torch.equal(value, half[name].to(value.dtype)), name
    inputs = case.inputs(2)
    assert difference(outputs(case, model, inputs), outputs(case, loaded, inputs)) < 0.02


def test_bfloat16(case: ModelCase) -> None:
    model, inputs = case.build(), case.inputs(3)
    expected = outputs(case, model, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        assert difference(outputs(case, model, inputs), expected) < 0.1
    answer = outputs(case, model.to(torch.bfloat16), inputs)
    assert difference(answer, expected) < 0.2


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.attention])
def test_eager_attention_equals_sdpa(name: str, tmp_path: Path) -> None:
    case, inputs = CASES[name], CASES[name].inputs(3)
    case.build().save_pretrained(tmp_path)
    answers = {}
    for attention in ("eager", "sdpa"):
        model = AutoModel.from_pretrained(tmp_path, attn_implementation=attention)
        assert getattr(model, "text_model", model).config._attn_implementation == attention
        answers[attention] = outputs(case, model, inputs)
    assert difference(answers["eager"], answers["sdpa"]) < 1e-5


def test_a_batch_answers_as_its_items_do_alone(case: ModelCase) -> None:
    model, inputs = case.build(), case.inputs(4)
    together = outputs(case, model, inputs)
    for index in range(4):
        alone = outputs(case, model, {name: value[index : index + 1] for name, value in inputs.items()})
        assert difference(alone, {name: value[index : index + 1] for name, value in together.items()}) < 1e-5


def test_padding_does_not_change_the_answer(timed_case: ModelCase) -> None:
    model, inputs = timed_case.build(), timed_case.inputs(4)
    assert timed_case.mask is not None
    longest = inputs[timed_case.time_inputs[0]].shape[2]
    lengths = torch.tensor([longest, longest - 1, longest - 14, longest - 7])
    padded = dict(inputs)
    padded[timed_case.mask] = (torch.arange(longest) < lengths[:, None]).long()
    together = outputs(timed_case, model, padded)
    for index, length in enumerate(lengths.tolist()):
        single = {name: value[index : index + 1] for name, value in inputs.items()}
        alone = outputs(
            timed_case,
            model,
            single | {name: single[name][:, :, :length] for name in timed_case.time_inputs},
        )
        for name, value in alone.items():
            batched = together[name][index : index + 1]
            if batched.shape != value.shape:  # hidden states over time
                batched = batched[tuple(slice(size) for size in value.shape)]
            assert difference({name: value}, {name: batched}) < 1e-5, (name, length)


def test_too_few_frames_are_refused(timed_case: ModelCase) -> None:
    inputs = timed_case.inputs(2)
    short = inputs | {name: inputs[name][:, :, :2] for name in timed_case.time_inputs}
    with pytest.raises(ValueError, match="frames"):
        timed_case.build()(**short)


def test_the_gradient_reaches_every_parameter(case: ModelCase) -> None:
    model, inputs = case.build(), case.inputs(6) | case.loss_inputs(6)
    answer = model(**inputs)
    loss = answer.loss if case.loss_inputs(1) else sum(answer[name].square().sum() for name in case.shapes)
    loss.backward()
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert not [name for name, gradient in trained.items() if gradient is None or not gradient.isfinite().all()]
    silent = {name for name, gradient in trained.items() if gradient.abs().sum() == 0}
    assert not {name for name in silent if not name.endswith(case.without_effect)}


def test_gradient_checkpointing_gives_the_same_gradient(case: ModelCase) -> None:
    gradients = []
    for checkpointing in (False, True):
        model, inputs = case.build(), case.inputs(4) | case.loss_inputs(4)
        for module in model.modules():  # checkpointing is for training; dropout would need equal random numbers
            if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
                module.p = 0.0
            if hasattr(module, "dropout_prob"):
                module.dropout_prob = 0.0
        if checkpointing:
            model.activation_checkpointing_enable()
        model.train()
        answer = model(**inputs)
        loss = answer.loss if case.loss_inputs(1) else sum(answer[name].square().sum() for name in case.shapes)
        loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    assert difference(*gradients) < 1e-5
