"""When to tell again what lasts: after pauses that double."""

import math

from peer.telemetry.rate_limit import LONGEST_S
from peer.types import Seconds


class GrowingPause:
    """The time until the next line about one thing that lasts: at first none. Pure: `now` is any monotonic clock."""

    def __init__(self, *, first_s: Seconds) -> None:
        """first_s: after the first line. It doubles up to LONGEST_S, or stays where it is longer than that."""
        self._first_s = self._pause_s = first_s
        self._ends_at = -math.inf

    def is_over(self, now: Seconds) -> bool:
        return now >= self._ends_at

    def begin(self, now: Seconds) -> None:
        """Note that a line has been told."""
        self._ends_at = now + self._pause_s
        self._pause_s = max(self._first_s, min(2 * self._pause_s, LONGEST_S))

    def forget(self) -> None:
        """Note that the thing is over: when it comes again, that is news."""
        self._pause_s, self._ends_at = self._first_s, -math.inf
