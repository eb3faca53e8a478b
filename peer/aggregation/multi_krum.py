"""Multi-Krum: the mean of the deltas that have the nearest neighbours.

Source: Blanchard et al. 2017, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", section 4:
with f bad among K >= 2 f + 3, the score of a delta is the sum of its squared distances to its K - f - 2 nearest; the
K - f with the lowest scores are averaged. Departures: by weight; deltas that tie for the last place all come in, so
that no order decides.
"""

import math
from collections.abc import Sequence

from peer.aggregation.kernels import Distances, Kernels
from peer.aggregation.mean import mean
from peer.aggregation.rule import Contribution, RuleOptions
from peer.types import Params


class MultiKrum:
    """The rule `multi-krum`.

    options.assumed_bad: f as a part of K, rounded down, and not more than K >= 2 f + 3 allows.
    """

    def __init__(self, options: RuleOptions) -> None:
        self._assumed_bad = options.assumed_bad

    def __call__(self, contributions: Sequence[Contribution], *, kernels: Kernels) -> Params:
        """Cost: O(K^2 P) for the distances, then O(K P)."""
        count = len(contributions)
        bad = most_bad(count, self._assumed_bad)
        scores = _scores(kernels.squared_distances([c.delta.params for c in contributions]), count - bad - 2)
        worst = sorted(scores)[count - bad - 1]
        return mean([c for c, score in zip(contributions, scores, strict=True) if score <= worst], kernels=kernels)


def most_bad(count: int, assumed_bad: float) -> int:
    """Return f for K = count."""
    return max(0, min(math.floor(assumed_bad * count), (count - 3) // 2))


def _scores(squared: Distances, neighbours: int) -> list[float]:
    others = [sorted(row[:i] + row[i + 1 :]) for i, row in enumerate(squared.tolist())]
    return [math.fsum(row[: max(0, neighbours)]) for row in others]
