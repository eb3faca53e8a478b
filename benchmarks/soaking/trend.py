"""Whether a series grows: a slope that outliers do not move, and what counts as flat."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

FLAT_PER_HOUR = 0.01
"""A series is flat that changes by less than this part of its median in an hour, or by less than `least` units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """per_hour: in the series' own unit. low, high: the interval that holds 95 % of resampled slopes."""

    median: float
    per_hour: float
    low: float
    high: float

    def is_flat(self, *, least: float) -> bool:
        return abs(self.per_hour) <= max(FLAT_PER_HOUR * abs(self.median), least)


def trend(hours: ArrayLike, values: ArrayLike, *, seed: int = 0, resamples: int = 200) -> Trend:
    """Return the Theil-Sen slope of `values` over `hours`: the median of the slopes of all pairs of points.

    The interval is by moving blocks of a twentieth of the series, because neighbours in time are alike.
    Raises: ValueError for fewer than 20 points. Source: Sen 1968; blocks: Kuensch 1989.
    """
    x, y = np.asarray(hours, np.float64), np.asarray(values, np.float64)
    if len(x) != len(y) or len(x) < 20:
        raise ValueError(f"a trend needs at least 20 points and as many times as values, got {len(x)} and {len(y)}")
    rng = np.random.default_rng(seed)
    block = max(len(x) // 20, 1)
    slopes = []
    for _ in range(resamples):
        starts = rng.integers(0, len(x) - block + 1, size=len(x) // block)
        chosen = (starts[:, None] + np.arange(block)).ravel()
        slopes.append(_slope(x[chosen], y[chosen]))
    low, high = np.quantile(slopes, (0.025, 0.975))
    return Trend(median=float(np.median(y)), per_hour=_slope(x, y), low=float(low), high=float(high))


def peaks(times: Sequence[float], values: Sequence[float], *, span: float) -> tuple[list[float], list[float]]:
    """Return the greatest value within the last `span`, at every time from which on the series reaches so far back.

    A quantity that rises to a bound and falls again, over and over, has level peaks, whatever part of it is looked at.
    """
    ends = [time for time in times if time >= times[0] + span]
    series = list(zip(times, values, strict=True))
    return ends, [max(value for time, value in series if end - span <= time <= end) for end in ends]


def _slope(
    x: "np.ndarray[tuple[int], np.dtype[np.float64]]", y: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> float:
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] != x[first]
    return float(np.median((y[second] - y[first])[apart] / (x[second] - x[first])[apart]))
