"""Which of a round's normalisation statistics enter the common ones, and for how many observations each counts.

They are merged, not averaged, so no rule for parameters bounds them: one delta that says it has seen 2^52 observations
at 1e99 would make every later observation the same number, for ever (docs/adr/0074).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from peer.aggregation.weights import cap_of
from peer.types import Contribution, Moments

_FEWEST = 4
"""Deltas among which a majority tells the unusual: the same number from which rules withstand a bad peer."""
_FAR = 32.0
"""Usual distances beyond which a value is taken for false; observations of honest peers lie within a few of them, and
rare ones, a first reward say, within twenty."""
_FAR_WITHOUT_SPREAD = 2.0**16
"""The same where most have seen one value alone, so that nothing tells what is usual."""
_ROUNDING = 2.0**-40
"""Of a value's square: a smaller squared distance from it is none."""
_FEW_OBSERVATIONS = 64.0
"""So many always count as said: too few to move anything."""


def screened(contributions: Sequence[Contribution], base: Moments | None, *, is_capped: bool) -> list[Moments]:
    """Return the statistics to merge, in the order of `contributions`.

    base: those before the round, where they are known. is_capped: whether claims count for twice the median at most.
    Exact: elementwise IEEE 754 operations and order statistics alone, so the same bytes everywhere and for any order.
    """
    limits = _limits(contributions, is_capped=is_capped)
    parts = [_limited(each.delta.moments, limit) for each, limit in zip(contributions, limits, strict=True)]
    if len(parts) < _FEWEST:
        return parts
    return [part for part, is_usual in zip(parts, _are_usual(parts, base), strict=True) if is_usual]


def _limits(contributions: Sequence[Contribution], *, is_capped: bool) -> list[float]:
    """Return how many observations each may count for: one for each env step, capped as weights are."""
    steps = [each.env_steps for each in contributions]
    known = [step for step in steps if step is not None]
    cap = cap_of(known) if is_capped and known else None
    return [
        np.inf if step is None else max(_FEW_OBSERVATIONS, float(step if cap is None else min(step, cap)))
        for step in steps
    ]


def _limited(moments: Moments, limit: float) -> Moments:
    """Return the same means and variances, of at most `limit` observations."""
    if (moments.count <= limit).all():
        return moments
    count = np.minimum(moments.count, limit)
    share = count / np.where(moments.count > 0, moments.count, 1.0)
    return Moments(count=count, mean=moments.mean, m2=np.where(moments.count > limit, moments.m2 * share, moments.m2))


def _are_usual(parts: Sequence[Moments], base: Moments | None) -> npt.NDArray[np.bool_]:
    """Return for each part whether it is near enough to the others in every element that four of them have seen.

    How far a part is: its mean squared distance from the median of all means, in units of the upper median of those
    distances, or of the base's distance if that is larger.
    """
    counts, means = np.stack([part.count for part in parts]), np.stack([part.mean for part in parts])
    seen = counts > 0
    number = seen.sum(axis=0)
    with np.errstate(over="ignore"):  # what overflows is not usual
        variances = np.stack([part.m2 for part in parts]) / np.where(seen, counts, 1.0)
        median = _ranked(means, seen, (np.maximum(number, 1) - 1) // 2)
        distances = variances + np.square(means - median)
        usual = _ranked(distances, seen, np.minimum(number // 2, len(parts) - 1))
        if base is not None:
            variance = base.m2 / np.where(base.count > 0, base.count, 1.0)
            usual = np.maximum(usual, np.where(base.count > 0, variance + np.square(base.mean - median), 0.0))
        bound = np.where(usual > _ROUNDING * np.square(median), _FAR * _FAR * usual, _FAR_WITHOUT_SPREAD**2)
    is_false: npt.NDArray[np.bool_] = (seen & (number >= _FEWEST) & (distances > bound)).any(axis=1)
    return ~is_false


def _ranked(
    values: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], rank: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return of each column the value of this rank among those seen; 0 where there is none."""
    found = np.take_along_axis(np.sort(np.where(seen, values, np.inf), axis=0), rank[np.newaxis], axis=0)[0]
    return np.where(np.isfinite(found), found, 0.0)
