"""Blocks of time steps for a latent predictor: the shares the paper states, by seed, and refused where impossible."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.time_block_masking import TimeBlockMasks, time_block_masks

STEPS, DRAWS = 200, 1500

# Yuksel et al., WavJEPA, Appendix F: mean and the middle 95 % of draws, in percent of the steps; of the context, and of
# the targets of one group.
APPENDIX_F = [
    ({}, (19.6, 11.5, 30.0), (22.7, 17.5, 25.0)),
    ({"target_length": 5}, (18.8, 11.5, 26.5), (22.8, 19.5, 25.0)),
    ({"target_length": 15}, (19.9, 11.0, 31.5), (22.8, 15.5, 30.0)),
    ({"context_length": 5}, (18.8, 11.5, 27.5), (22.7, 17.0, 25.0)),
    ({"context_length": 15}, (19.7, 11.0, 30.5), (22.7, 17.5, 25.0)),
    ({"target_rate": 0.15}, (28.1, 18.0, 39.0), (14.3, 10.5, 15.0)),
    ({"target_rate": 0.20}, (23.2, 13.5, 34.0), (18.7, 14.0, 20.0)),
    ({"target_rate": 0.30}, (16.7, 10.5, 26.5), (26.6, 21.0, 30.0)),
]


def drawn(settings: TimeBlockMasks, batch: int = DRAWS, steps: int = STEPS, seed: int = 0) -> tuple[Tensor, Tensor]:
    return time_block_masks(batch, steps, settings, torch.Generator().manual_seed(seed))


def shares(masks: Tensor) -> tuple[float, float, float]:
    """Mean, 2.5 % and 97.5 % quantile of the share of steps, in percent."""
    percent = 100 * masks.flatten(0, -2).float().mean(1)
    low, high = percent.quantile(torch.tensor([0.025, 0.975])).tolist()
    return float(percent.mean()), low, high


@pytest.mark.parametrize(("changed", "context", "target"), APPENDIX_F, ids=[str(row[0]) for row in APPENDIX_F])
def test_shares_are_those_of_the_papers_appendix(changed: dict, context: tuple, target: tuple) -> None:
    for masks, (mean, low, high) in zip(drawn(TimeBlockMasks(**changed)), (context, target), strict=True):
        found = shares(masks)
        assert found[0] == pytest.approx(mean, abs=0.5)  # 1,500 draws of deviation 5 lie within 0.4
        assert found[1:] == pytest.approx((low, high), abs=1.6)


def test_the_text_of_the_paper_gives_a_smaller_context_than_its_appendix() -> None:
    mean, low, high = shares(drawn(TimeBlockMasks(context="covered"))[0])
    assert mean == pytest.approx(17.7, abs=0.5) and mean < 19.6 - 1
    assert (low, high) == pytest.approx((10.5, 26.5), abs=1.1)


def test_edges_are_covered_less_often_and_the_last_step_never() -> None:
    _, targets = drawn(TimeBlockMasks())
    often = targets.flatten(0, 1).float().mean(0)
    assert often[-1] == 0 and often[0] < 0.05 < 0.2 < often[20:180].min()
    assert often[:10].diff().min() > 0 and often[:-1].min() > 0
    assert often[0] == pytest.approx(5 / 190, abs=0.008)  # one of 190 places, five blocks


def test_masks_are_given_by_the_generator_alone() -> None:
    settings = TimeBlockMasks()
    first, again, other = (drawn(settings, 20, seed=seed) for seed in (3, 3, 4))
    for mask, same, different in zip(first, again, other, strict=True):
        assert torch.equal(mask, same) and not torch.equal(mask, different)
        assert len(mask.flatten(0, -2).unique(dim=0)) == len(mask.flatten(0, -2))  # every item and group its own
    torch.manual_seed(5)
    drawn_first = time_block_masks(2, STEPS, settings)[0]
    torch.manual_seed(5)
    assert torch.equal(drawn_first, time_block_masks(2, STEPS, settings)[0])


@given(
    steps=st.integers(40, 250),
    context=st.sampled_from(("uncovered", "covered")),
    context_length=st.integers(1, 15),
    target_length=st.integers(1, 10),
    groups=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_targets_and_context_never_meet(
    steps: int, context: str, context_length: int, target_length: int, groups: int, seed: int
) -> None:
    settings = TimeBlockMasks(
        context=context,
        context_rate=0.4,
        context_length=context_length,
        target_length=target_length,
        num_target_groups=groups,
        target_rate=0.26,
    )
    visible, targets = drawn(settings, 5, steps, seed)
    assert visible.shape == (5, steps) and targets.shape == (5, groups, steps)
    assert visible.dtype == targets.dtype == torch.bool
    assert not (visible[:, None] & targets).any()
    assert (visible.sum(1) >= 0.1 * steps).all()
    # A group is whole blocks: runs are no shorter than one, and cover what a whole number of blocks can.
    edges = torch.nn.functional.pad(targets.int(), (1, 1)).diff(dim=-1)
    for row in edges.flatten(0, 1):
        runs = (row == -1).nonzero() - (row == 1).nonzero()
        assert target_length <= runs.min() and runs.sum() <= target_length * (0.26 * steps / target_length + 1)


def test_numbers_of_blocks_are_rounded_at_random_to_the_right_mean() -> None:
    settings = TimeBlockMasks(target_rate=0.026, target_length=1, context_rate=0.2)  # blocks of one step: none overlap
    counts = drawn(settings)[1].sum(-1).float()
    assert counts.unique().tolist() == [5, 6] and float(counts.mean()) == pytest.approx(5.2, abs=0.02)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"context": "left"}, "context is 'left'; expected one of uncovered, covered"),
        ({"context_length": 0}, "context_length is 0"),
        ({"num_target_groups": 0}, "num_target_groups is 0"),
        ({"target_rate": 0.0}, "target_rate is 0.0"),
        ({"context_rate": float("nan")}, "context_rate is nan"),
        ({"least_context": 0.0}, "least_context is 0.0"),
        ({"least_context": 1.0}, "least_context is 1.0"),
        ({"target_length": 200}, "target_length is 200; a block must be shorter than the 200 steps"),
        ({"context_rate": 10.0}, "blocks of 10 steps have 190 places in 200: lower the rate"),
        ({"target_rate": 0.04}, "less than one block of 10"),
        ({"context_rate": 6.0}, "in 1000 draws no context had 10% .* or lower context_rate"),
        ({"context": "covered", "context_rate": 0.05}, "or raise context_rate"),
    ],
)
def test_settings_that_cannot_work_are_refused(changed: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        time_block_masks(2, STEPS, replace(TimeBlockMasks(), **changed))
