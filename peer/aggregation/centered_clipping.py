"""Centred clipping: go from a centre towards every delta, but towards none further than a bound.

Source: Karimireddy, He & Jaggi 2021, "Learning from History for Byzantine Robust Optimization", alg. 2 and eq. (CC):
v <- v + sum_i p_i (d_i - v) min(1, tau / |d_i - v|).
Departures: the centre starts at the medoid instead of the round before, so that a peer that joins needs no history;
tau is the median distance to the centre instead of a constant, so that it needs no tuning and follows the scale of the
deltas; p_i are the shares of the weights instead of 1/n.
"""

import math
from collections.abc import Sequence

from peer.aggregation.clipped_mean import shortening
from peer.aggregation.combination import distances_to, medoid, typical
from peer.aggregation.kernels import Kernels
from peer.aggregation.rule import Contribution, RuleOptions
from peer.aggregation.shares import normalised, shares
from peer.types import Params

_ITERATIONS = 3
"""The paper proves a gain for each and measures none beyond a few (section 6: L = 1 suffices from a good start)."""


class CenteredClipping:
    """The rule `centered-clipping`. options.clip: tau in medians of the distances to the centre."""

    def __init__(self, options: RuleOptions) -> None:
        self._clip = options.clip

    def __call__(self, contributions: Sequence[Contribution], *, kernels: Kernels) -> Params:
        """Cost: O(K^2 P) for the distances, then O(K P)."""
        parts = shares(contributions)
        deltas = [contribution.delta.params for contribution in contributions]
        squared = kernels.squared_distances(deltas)
        centre = medoid(squared)
        for _ in range(_ITERATIONS):
            lengths = distances_to(centre, squared)
            bound = self._clip * typical(lengths)
            pulls = [part * shortening(length, bound) for part, length in zip(parts, lengths, strict=True)]
            left = 1.0 - math.fsum(pulls)
            centre = normalised([left * share + pull for share, pull in zip(centre, pulls, strict=True)])
        return kernels.weighted_sum(deltas, centre)
