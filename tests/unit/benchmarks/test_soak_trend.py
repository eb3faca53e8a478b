"""What a soak calls flat: slopes of series whose slope is known."""

import numpy as np
import pytest
from scipy.stats import theilslopes

from benchmarks.soaking.trend import trend

HOURS = np.linspace(0.0, 1.0, 120)


def test_slope_is_that_of_scipy() -> None:
    values = 200.0 + 3.0 * HOURS + np.random.default_rng(1).normal(0.0, 0.5, HOURS.size)
    assert trend(HOURS, values).per_hour == pytest.approx(theilslopes(values, HOURS).slope)


def test_leak_of_ten_mib_an_hour_is_not_flat_and_lies_in_its_interval() -> None:
    found = trend(HOURS, 200.0 + 10.0 * HOURS + np.random.default_rng(2).normal(0.0, 1.0, HOURS.size))
    assert not found.is_flat(least=1.0)
    assert found.low < 10.0 < found.high


def test_noise_without_a_slope_is_flat_and_outliers_do_not_change_that() -> None:
    values = 200.0 + np.random.default_rng(3).normal(0.0, 0.5, HOURS.size)
    values[::17] += 80.0
    assert trend(HOURS, values).is_flat(least=1.0)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20 points"):
        trend(HOURS[:19], HOURS[:19])
