"""What a soak calls flat: slopes of series whose slope is known."""

import numpy as np
import pytest
from scipy.stats import theilslopes

from benchmarks.soaking.trend import peaks, trend

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


def test_sawtooth_has_level_peaks_where_its_own_slope_is_that_of_the_part_that_is_looked_at() -> None:
    teeth = 3.0 + (HOURS * 3.3) % 1.0
    hours, most = peaks(list(HOURS), list(teeth), span=1 / 3.2)
    assert not trend(HOURS, teeth).is_flat(least=0.1)
    assert trend(hours, most).is_flat(least=0.1)
    assert hours[0] == pytest.approx(1 / 3.2, abs=0.01)


def test_peaks_of_a_sawtooth_that_rises_rise_with_it() -> None:
    hours, most = peaks(list(HOURS), list(3.0 + (HOURS * 3.3) % 1.0 + 2.0 * HOURS), span=1 / 3.2)
    assert trend(hours, most).per_hour == pytest.approx(2.0, abs=0.3)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20 points"):
        trend(HOURS[:19], HOURS[:19])
