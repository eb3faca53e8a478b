"""Per coordinate, the mean without the largest and the smallest values. Weights are not used: the paper has none.

Source: Yin et al. 2018, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", definition 2.
"""

import math
from collections.abc import Sequence

from peer.aggregation.kernels import Kernels
from peer.aggregation.rule import Contribution, RuleOptions
from peer.types import Params


class TrimmedMean:
    """The rule `trimmed-mean`.

    options.assumed_bad: the part of the values dropped at each end, rounded down; one value at least is kept.
    """

    def __init__(self, options: RuleOptions) -> None:
        self._assumed_bad = options.assumed_bad

    def __call__(self, contributions: Sequence[Contribution], *, kernels: Kernels) -> Params:
        """Cost: O(P K log^2 K)."""
        deltas = [contribution.delta.params for contribution in contributions]
        return kernels.trimmed_mean(deltas, trim=trimmed(len(deltas), self._assumed_bad))


def trimmed(count: int, assumed_bad: float) -> int:
    """Return how many values are dropped at each end."""
    return max(0, min(math.floor(assumed_bad * count), (count - 1) // 2))
