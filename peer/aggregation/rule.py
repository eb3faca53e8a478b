"""The seam of aggregation: from the admitted deltas to one pseudo-gradient, and from that to the next model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from peer.aggregation.kernels import Kernels
from peer.types import Contribution, ModelState, Params

__all__ = ["Aggregator", "Contribution", "Rule", "RuleOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOptions:
    """What rules may be told; each reads what it knows.

    clip: bound on a delta, in medians (of the norms, or of the distances to the centre). assumed_bad: the part of the
    peers that may be bad, below one half.
    """

    clip: float = 1.5
    assumed_bad: float = 0.25


class Rule(Protocol):
    """Combine deltas exactly: the result depends on the set of contributions alone, to the last bit."""

    def __call__(self, contributions: Sequence[Contribution], *, kernels: Kernels) -> Params:
        """Return the pseudo-gradient, float32[P]; one contribution gives its delta.

        Raises: ValueError unless there are 1 to 64, all finite and within 2^15.
        """


class Aggregator(Protocol):
    """The whole step from one round's model to the next."""

    def __call__(self, base: ModelState, contributions: Sequence[Contribution], previous: bytes = b"") -> ModelState:
        """previous: digest of the manifest that `base` belongs to, from which whatever must be drawn is drawn."""

    def group(self, contributions: Sequence[Contribution], previous: bytes = b"") -> Contribution:
        """Return what the members of one group of a large swarm contribute together: the rule's result and the merged
        statistics, at the sum of the capped weights. Its `peer` is empty."""

    def of_groups(self, base: ModelState, groups: Sequence[Contribution], previous: bytes = b"") -> ModelState:
        """The whole step from what the groups contribute: the same rule once more, then the outer optimizer."""
