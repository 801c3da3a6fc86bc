"""The schedule at steps whose rate is known."""

import pytest
import torch

from spatial_audio_lm.training.schedules import warmup_cosine, warmup_linear


def test_warmup_and_cosine_at_known_steps():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, warmup_steps=10, steps=100)
    rates = []
    for _ in range(101):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.2)  # a tenth of the way up
    assert rates[50] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert rates.index(max(rates)) == 9 and rates[9:] == sorted(rates[9:], reverse=True)


def test_no_warmup_starts_at_the_top():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    assert warmup_cosine(optimizer, warmup_steps=0, steps=4).get_last_lr() == [1.0]


def test_warmup_and_straight_fall_at_known_steps():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_linear(optimizer, warmup_steps=10, steps=100)
    rates = []
    for _ in range(103):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.2) and rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0)  # half of the way down
    assert rates[100] == rates[102] == 0.0
    assert warmup_linear(optimizer, warmup_steps=0, steps=4).get_last_lr() == [2.0]
