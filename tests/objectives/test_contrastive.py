"""The contrastive loss against hand-computed values, with removed negatives, and over two processes."""

import math
from pathlib import Path

import pytest
import torch
from together import run_together
from torch import Tensor
from torch.nn import functional

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.objectives.contrastive import contrastive_loss
from spatial_audio_lm.objectives.processes import gather_rows


def test_orthogonal_pairs_give_the_value_computed_by_hand():
    embeds = torch.eye(2)
    # each row is (scale, 0) or (0, scale): -log(e^s / (e^s + 1))
    assert contrastive_loss(embeds, embeds, 3.0).item() == pytest.approx(math.log1p(math.exp(-3.0)), abs=1e-6)
    assert contrastive_loss(embeds, embeds.flip(0), 3.0).item() == pytest.approx(math.log1p(math.exp(3.0)), abs=1e-6)


def test_three_unlike_pairs_give_the_mean_of_both_directions():
    audio = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    text = torch.tensor([[0.8, 0.6], [0.0, 1.0], [1.0, 0.0]])
    similarity = [[2 * sum(a * t for a, t in zip(x, y, strict=True)) for y in text.tolist()] for x in audio.tolist()]
    by_hand = 0.0
    for i in range(3):
        row = sum(math.exp(similarity[i][j]) for j in range(3))
        column = sum(math.exp(similarity[j][i]) for j in range(3))
        by_hand += (math.log(row) + math.log(column) - 2 * similarity[i][i]) / 6
    assert contrastive_loss(audio, text, torch.tensor(2.0)).item() == pytest.approx(by_hand, abs=1e-6)


def test_a_compatible_sentence_is_not_pushed_away():
    audio = functional.normalize(torch.tensor([[1.0, 0.2], [1.0, 0.1], [0.0, 1.0]]), dim=-1)
    text = audio.clone().requires_grad_()
    negatives = torch.ones(3, 3, dtype=torch.bool)
    negatives[0, 1] = negatives[1, 0] = False
    loss = contrastive_loss(audio, text, 5.0, negatives)
    cosine = (audio @ text.detach().T).double() * 5
    terms = [math.log(math.exp(cosine[0, 0]) + math.exp(cosine[0, 2])) - cosine[0, 0].item()]
    terms += [math.log(math.exp(cosine[1, 1]) + math.exp(cosine[1, 2])) - cosine[1, 1].item()]
    terms += [math.log(sum(math.exp(cosine[2, j]) for j in range(3))) - cosine[2, 2].item()]
    terms += [math.log(math.exp(cosine[0, 0]) + math.exp(cosine[2, 0])) - cosine[0, 0].item()]
    terms += [math.log(math.exp(cosine[1, 1]) + math.exp(cosine[2, 1])) - cosine[1, 1].item()]
    terms += [math.log(sum(math.exp(cosine[j, 2]) for j in range(3))) - cosine[2, 2].item()]
    assert loss.item() == pytest.approx(sum(terms) / 6, abs=1e-6)


def test_no_negatives_left_is_a_loss_of_zero_with_finite_gradients():
    audio = functional.normalize(torch.randn(4, 3), dim=-1).requires_grad_()
    text = functional.normalize(torch.randn(4, 3), dim=-1)
    loss = contrastive_loss(audio, text, 10.0, torch.zeros(4, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(audio.grad, torch.zeros(4, 3))


def test_autocast_does_not_round_the_logits():
    generator = torch.Generator().manual_seed(1)
    audio, text = functional.normalize(torch.randn(2, 16, 32, generator=generator), dim=-1)
    exact = contrastive_loss(audio, text, 20.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(contrastive_loss(audio, text, 20.0), exact)


def test_shapes_that_do_not_belong_together_are_named():
    embeds = torch.eye(3)
    with pytest.raises(DataError, match=r"\(3, 3\).*\(2, 3\)"):
        contrastive_loss(embeds, embeds[:2], 1.0)
    with pytest.raises(DataError, match=r"expected torch.bool \(3, 3\)"):
        contrastive_loss(embeds, embeds, 1.0, torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(DataError, match=r"torch\.float32"):
        contrastive_loss(embeds, embeds, 1.0, torch.ones(3, 3))


def _batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    inputs, sentences = torch.randn(6, 4, generator=generator), torch.randn(6, 4, generator=generator)
    return inputs, sentences, torch.tensor([0, 1, 0, 2, 1, 3])  # items 0, 2 and 1, 4 have the same sound


class _Towers(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.audio, self.text = torch.nn.Linear(4, 8), torch.nn.Linear(4, 8)
        self.log_scale = torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, inputs: Tensor, sentences: Tensor, sound: Tensor) -> Tensor:
        sound = gather_rows(sound)
        audio, text = (functional.normalize(x, dim=-1) for x in (self.audio(inputs), self.text(sentences)))
        return contrastive_loss(audio, text, self.log_scale.exp(), sound[:, None] != sound[None, :])


def one_of_two(rank: int, folder: str) -> None:
    towers = torch.nn.parallel.DistributedDataParallel(_Towers())
    share = slice(3 * rank, 3 * rank + 3)
    loss = towers(*(x[share] for x in _batch()))
    loss.backward()
    found = {name: p.grad for name, p in towers.module.named_parameters()} | {"loss": loss.detach()}
    torch.save(found, f"{folder}/rank{rank}.pt")


def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path: Path):
    run_together(one_of_two, str(tmp_path))
    towers = _Towers()
    loss = towers(*_batch())
    loss.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        assert found["loss"].item() == pytest.approx(loss.item(), abs=1e-6)
        for name, parameter in towers.named_parameters():
            torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-5)
