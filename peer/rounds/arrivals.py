"""Since when the deltas, or the group seals, that a round waits for are in: all of them, and half of them."""

from dataclasses import dataclass

from peer.types import Seconds


@dataclass(slots=True)
class Arrivals:
    """When what a round waits for came in.

    complete_since: since when all are in. half_since: half of them. None while they are not.
    """

    complete_since: Seconds | None = None
    half_since: Seconds | None = None

    def note(self, *, have: int, expected: int, is_complete: bool, now: Seconds) -> None:
        self.complete_since = (self.complete_since if self.complete_since is not None else now) if is_complete else None
        has_half = 2 * have >= expected
        self.half_since = (self.half_since if self.half_since is not None else now) if has_half else None
