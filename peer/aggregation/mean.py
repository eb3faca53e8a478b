"""FedAvg: the mean of the deltas, weighted by env steps.

Source: McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized Data", alg. 1.
Departure: sums are integers. A float sum depends on its order; this one is the same for every order, CPU and
thread count, which is what lets peers compare hashes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from peer.aggregation.rule import Contribution
from peer.codec.codec import MAX_MAGNITUDE
from peer.types import Params

_SCALE_BITS = 32
"""Deltas are rounded to multiples of 2^-32, a float32's own precision at 2^-8: far below the noise of a gradient."""
_WEIGHT_BITS = 9
"""Weights are rounded to 1/511 of the largest: |delta| 2^15 * 2^32 * 2^9 * 64 contributions = 2^62 fits an int64."""
_MAX_CONTRIBUTIONS = 64


def mean(contributions: Sequence[Contribution]) -> Params:
    """Average the deltas by weight, in fixed point.

    Error against exact arithmetic: at most 2^-32 for the rounding of deltas, and 0.2 % of a weight's share.
    Raises: ValueError with no or more than 64 contributions, or a delta out of range. Cost: O(K P).
    """
    if not 1 <= len(contributions) <= _MAX_CONTRIBUTIONS:
        raise ValueError(f"the mean takes 1 to {_MAX_CONTRIBUTIONS} contributions, got {len(contributions)}")
    weights = integer_weights([contribution.weight for contribution in contributions])
    total: npt.NDArray[np.int64] = np.zeros(contributions[0].delta.params.shape, np.int64)
    for weight, contribution in zip(weights, contributions, strict=True):
        total += weight * _to_fixed_point(contribution.delta.params)
    return _to_float(total, sum(weights))


def integer_weights(weights: Sequence[int]) -> list[int]:
    """Scale positive weights to 1..511, rounding half up, by integer arithmetic alone."""
    if min(weights) < 1:
        raise ValueError(f"weights are env steps and must be at least 1, got {min(weights)}")
    largest, top = max(weights), (1 << _WEIGHT_BITS) - 1
    return [max(1, (2 * weight * top + largest) // (2 * largest)) for weight in weights]


def _to_fixed_point(params: Params) -> npt.NDArray[np.int64]:
    scaled = params.astype(np.float64) * float(1 << _SCALE_BITS)  # exact: a power of two
    if not np.isfinite(scaled).all() or (np.abs(params) > MAX_MAGNITUDE).any():
        raise ValueError(f"a delta must be finite and within {MAX_MAGNITUDE:g}")
    return np.rint(scaled).astype(np.int64)


def _to_float(total: npt.NDArray[np.int64], divisor: int) -> Params:
    """Divide exactly enough: integer quotient and remainder first, then one correctly rounded step each."""
    quotient, remainder = np.divmod(total, divisor)
    value = (quotient.astype(np.float64) + remainder.astype(np.float64) / divisor) / float(1 << _SCALE_BITS)
    result: Params = value.astype(np.float32) + np.float32(0.0)  # turns -0.0 into 0.0
    return result
