"""The seam of aggregation: from the admitted deltas to one pseudo-gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from peer.types import ModelDelta, ModelState, Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One admitted delta. weight: env steps it stands for, at least 1."""

    weight: int
    delta: ModelDelta


class Rule(Protocol):
    """Combine deltas exactly: the result depends on the set of contributions alone, to the last bit."""

    def __call__(self, contributions: Sequence[Contribution]) -> Params:
        """Return the pseudo-gradient, float32[P]. Raises: ValueError when `contributions` is empty."""


class Aggregator(Protocol):
    """The whole step from one round's model to the next."""

    def __call__(self, base: ModelState, contributions: Sequence[Contribution]) -> ModelState: ...
