import numpy as np
import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.intervals import bootstrap_interval


def test_matches_the_binomial_interval():
    right = np.arange(1000) < 900
    interval = bootstrap_interval(lambda items: right[items].mean(), np.arange(1000))
    half = 1.96 * np.sqrt(0.9 * 0.1 / 1000)
    assert interval.low == pytest.approx(0.9 - half, abs=0.004)
    assert interval.high == pytest.approx(0.9 + half, abs=0.004)


def test_whole_groups_are_drawn():
    # ten items of each of 20 recordings, all alike: 200 items carry the information of 20
    right = np.repeat(np.arange(20) % 2 == 0, 10)
    groups = np.repeat([f"recording-{i}" for i in range(20)], 10)
    grouped = bootstrap_interval(lambda items: right[items].mean(), groups)
    single = bootstrap_interval(lambda items: right[items].mean(), np.arange(200))
    assert grouped.high - grouped.low > 2.5 * (single.high - single.low)
    sizes = set()
    bootstrap_interval(lambda items: float(sizes.add(len(items)) or 0), groups, resamples=3)
    assert sizes == {200}


def test_same_seed_same_interval_and_nan_is_left_out():
    values = np.random.default_rng(0).normal(size=50)
    first = bootstrap_interval(lambda items: values[items].mean(), np.arange(50), seed=3)
    assert first == bootstrap_interval(lambda items: values[items].mean(), np.arange(50), seed=3)
    assert first != bootstrap_interval(lambda items: values[items].mean(), np.arange(50), seed=4)
    assert np.isnan(bootstrap_interval(lambda items: float("nan"), np.arange(5), resamples=4).low)


@pytest.mark.parametrize(("groups", "resamples", "level"), [([], 10, 0.95), ([1], 0, 0.95), ([1], 10, 1.0)])
def test_bad_input_is_named(groups, resamples, level):
    with pytest.raises(DataError):
        bootstrap_interval(lambda items: 0.0, groups, resamples=resamples, level=level)
