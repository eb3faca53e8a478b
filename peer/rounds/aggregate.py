"""The seam between the rounds and whatever combines deltas."""

from collections.abc import Sequence
from typing import Protocol

from peer.types import Contribution, Digest, ModelState


class Aggregate(Protocol):
    """From deltas to the next model; exact and pure. previous: digest of the manifest that they build on."""

    def __call__(self, base: ModelState, contributions: Sequence[Contribution], previous: Digest) -> ModelState:
        """Return the model after a round that admits these deltas one by one."""

    def group(self, contributions: Sequence[Contribution], previous: Digest) -> Contribution:
        """Return what the members of one group contribute together."""

    def of_groups(self, base: ModelState, groups: Sequence[Contribution], previous: Digest) -> ModelState:
        """Return the model after a round that admits these groups."""
