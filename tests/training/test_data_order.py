"""The order of the data: every item once an epoch, the same wherever one resumes and for any number of processes."""

import itertools

import numpy as np
import pytest
import torch
from tiny_training import Images, add_noise

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.training.data_order import (
    Augmented,
    EpochSampler,
    ItemKey,
    WeightedEpochSampler,
    epoch_loader,
    item_generator,
)


def items(sampler: EpochSampler) -> list[list[int]]:
    return [[key.item for key in batch] for batch in sampler]


def test_an_epoch_holds_every_item_once_and_another_order_each_time():
    sampler = EpochSampler(20, 4, seed=3)
    sampler.seek(0)
    first = items(sampler)
    sampler.seek(1)
    second = items(sampler)
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second)) == list(range(20))
    assert first != second
    assert len(sampler) == len(first) == 5
    assert {key.epoch for batch in sampler for key in batch} == {1}


def test_seeking_gives_the_rest_of_the_epoch():
    sampler = EpochSampler(22, 4, seed=0)
    sampler.seek(5)
    whole = items(sampler)
    for start in range(6):
        sampler.seek(5, start)
        assert items(sampler) == whole[start:]
    assert [sampler.batch_items(5, batch) for batch in range(5)] == whole


def test_the_order_is_the_same_in_every_version():
    assert EpochSampler(8, 2, seed=1).order(2).tolist() == [0, 2, 6, 5, 7, 1, 4, 3]
    assert item_generator(1, ItemKey(2, 3)).integers(0, 1000, 3).tolist() == [192, 296, 535]
    assert EpochSampler(4, 2, seed=1, shuffle=False).order(7).tolist() == [0, 1, 2, 3]


def test_two_processes_share_the_batches_of_one():
    whole = EpochSampler(24, 6, seed=2)
    shares = [EpochSampler(24, 3, seed=2, process_index=rank, num_processes=2) for rank in range(2)]
    assert len(shares[0]) == len(whole) == 4
    for one, first, second in zip(items(whole), items(shares[0]), items(shares[1]), strict=True):
        assert one == first + second


def test_items_are_augmented_by_seed_epoch_and_index_only():
    dataset = Augmented(Images(), add_noise, seed=4)
    again = dataset[ItemKey(1, 5)]
    np.random.seed(0)
    torch.manual_seed(0)
    assert torch.equal(dataset[ItemKey(1, 5)], again)
    assert not torch.equal(dataset[ItemKey(2, 5)], again)
    assert not torch.equal(Augmented(Images(), add_noise, seed=5)[ItemKey(1, 5)], again)
    # streams that numpy would confuse: (seed, epoch) padded with zeros is (seed, epoch, item 0)
    order = np.random.default_rng([1, 4, 0]).random(3)
    assert not np.array_equal(order, item_generator(4, ItemKey(0, 0)).random(3))


def test_the_loader_leaves_the_global_random_numbers_alone():
    loader = epoch_loader(Augmented(Images(), add_noise, seed=0), EpochSampler(38, 4, seed=0))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    shapes = [batch.shape for batch in loader]
    assert shapes == [(4, 3, 8, 8)] * 9
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 3, "batch_size": 4, "seed": 0}, "the data set has 3 items, a batch of all processes 4"),
        ({"length": 6, "batch_size": 4, "seed": 0, "num_processes": 2}, "a batch of all processes 8"),
        ({"length": 6, "batch_size": 0, "seed": 0}, "batch_size 0 must be >= 1"),
        ({"length": 6, "batch_size": 2, "seed": -1}, "seed -1 >= 0"),
        ({"length": 6, "batch_size": 2, "seed": 0, "process_index": 1}, "process_index 1 less than num_processes 1"),
    ],
)
def test_numbers_out_of_range_are_named(arguments: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        EpochSampler(**arguments)


def test_a_weighted_epoch_has_no_item_twice_and_none_of_weight_zero():
    weights = np.arange(40) % 5
    sampler = WeightedEpochSampler(weights, num_samples=20, batch_size=5, seed=3)
    epochs = []
    for epoch in range(6):
        sampler.seek(epoch)
        drawn = list(itertools.chain(*items(sampler)))
        assert len(drawn) == len(set(drawn)) == 20
        assert (weights[drawn] > 0).all()
        epochs.append(drawn)
    assert len(set(map(tuple, epochs))) == 6
    again = WeightedEpochSampler(weights, num_samples=20, batch_size=5, seed=3)
    assert [again.order(epoch).tolist() for epoch in range(6)] == epochs
    assert WeightedEpochSampler(weights, 20, 5, seed=4).order(0).tolist() != epochs[0]
    everything = WeightedEpochSampler(weights, num_samples=32, batch_size=1, seed=0)
    assert sorted(everything.order(0)) == np.flatnonzero(weights).tolist()


def test_heavier_items_are_drawn_as_often_as_their_weights_say():
    one = WeightedEpochSampler([1.0, 2.0, 3.0, 4.0], num_samples=1, batch_size=1, seed=0)
    counts = np.bincount([one.order(epoch)[0] for epoch in range(4000)])
    np.testing.assert_allclose(counts / 4000, [0.1, 0.2, 0.3, 0.4], atol=0.03)
    # of weights 1, 1, 2 the heavy item is left out only if the light ones come first: 2 * 1/4 * 1/3
    two = WeightedEpochSampler([1.0, 1.0, 2.0], num_samples=2, batch_size=1, seed=0)
    orders = np.array([two.order(epoch) for epoch in range(4000)])
    assert (orders == 2).any(1).mean() == pytest.approx(5 / 6, abs=0.03)
    assert (orders[:, 0] == 2).mean() == pytest.approx(5 / 12, abs=0.03)  # within an epoch weights do not count


def test_two_processes_share_the_batches_of_a_weighted_epoch():
    weights = np.linspace(1, 9, 50)
    whole = WeightedEpochSampler(weights, 24, 6, seed=2)
    shares = [WeightedEpochSampler(weights, 24, 3, seed=2, process_index=k, num_processes=2) for k in range(2)]
    for one, first, second in zip(items(whole), items(shares[0]), items(shares[1]), strict=True):
        assert one == first + second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [1.0, np.nan]}, "finite numbers of at least 0"),
        ({"weights": [1.0, -1.0]}, "finite numbers of at least 0"),
        ({"weights": [[1.0, 1.0]]}, r"weights of shape \(1, 2\)"),
        ({"weights": [1.0, 0.0, 0.0]}, "num_samples is 2; .* at most the 1 items with a weight above 0"),
        ({"batch_size": 3}, "num_samples is 2; expected at least a batch of all processes, 3"),
        ({"batch_size": 0}, "batch_size 0 must be >= 1"),
    ],
)
def test_weights_that_cannot_be_drawn_from_are_named(arguments: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        WeightedEpochSampler(**{"weights": [1.0, 2.0, 3.0], "num_samples": 2, "batch_size": 1, "seed": 0, **arguments})
