"""The mean of the deltas, each first shortened to about the median of their norms.

Honest deltas of one round have similar norms, so clipping there costs them little; a bad one moves the result no
further than an honest one could. Directions are not looked at: many small lies still add up.
Sources: Sun et al. 2019, "Can You Really Backdoor Federated Learning?", section 4 (norm clipping of each update);
Andrew et al. 2021, "Differentially Private Learning with Adaptive Clipping" (the bound follows a quantile of the
norms, the median by default). Departures: the median of this very round, so that nothing has to be remembered; by
default 1.5 medians, because clipping half of the honest deltas cost CartPole 10 % (docs/adr/0023).
"""

import math
import statistics
from collections.abc import Sequence

from peer.aggregation.kernels import Kernels
from peer.aggregation.rule import Contribution, RuleOptions
from peer.aggregation.shares import shares
from peer.types import Params


class ClippedMean:
    """The rule `clipped-mean`. options.clip: the bound in medians of the norms."""

    def __init__(self, options: RuleOptions) -> None:
        self._clip = options.clip

    def __call__(self, contributions: Sequence[Contribution], *, kernels: Kernels) -> Params:
        """Cost: O(K P), each delta read once, and once more where its norm is not known."""
        parts = shares(contributions)
        norms = norms_of(contributions, kernels)
        bound = self._clip * statistics.median(norms)
        scaled = [part * shortening(norm, bound) for part, norm in zip(parts, norms, strict=True)]
        return kernels.weighted_sum([c.delta.params for c in contributions], scaled)


def norms_of(contributions: Sequence[Contribution], kernels: Kernels) -> list[float]:
    """Raises: ValueError when one is not finite."""
    norms = [kernels.l2_norm(c.delta.params) if c.norm is None else c.norm for c in contributions]
    if not all(math.isfinite(norm) for norm in norms):
        raise ValueError("a delta must be finite, got NaN or infinity")
    return norms


def shortening(length: float, bound: float) -> float:
    """Return the factor that brings a vector of this length down to `bound`; 1 where it is within."""
    return 1.0 if length <= bound else bound / length
