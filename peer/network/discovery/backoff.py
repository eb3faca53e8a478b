"""When to dial an address again: soon at first, then ever more rarely, and never not at all."""

import math
import random
from dataclasses import dataclass

from peer.types import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RedialPolicy:
    """Exponential backoff with jitter.

    first_s: the wait after the first failure. factor: of growth. cap_s: the longest wait; it bounds how long
    a peer that came back goes unnoticed. jitter: each wait is spread over +-`jitter` of itself, so that peers
    that lost each other in one moment do not dial in one moment.
    """

    first_s: Seconds = 0.5
    factor: float = 2.0
    cap_s: Seconds = 15.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        if not 0.0 < self.first_s <= self.cap_s:
            raise ValueError(f"needs 0 < first_s <= cap_s, got {self.first_s} and {self.cap_s}")
        if not self.factor >= 1.0:
            raise ValueError(f"factor must be at least 1, got {self.factor}")
        if not 0.0 <= self.jitter < 1.0:
            raise ValueError(f"jitter must be in [0, 1), got {self.jitter}")

    def wait_s(self, failures: int, rng: random.Random) -> Seconds:
        """Return how long to wait after so many failures in a row (1 or more)."""
        if failures < 1:
            raise ValueError(f"there is no wait before the first failure, got {failures}")
        if self.factor > 1.0:  # no power beyond what reaches the cap: it would overflow after a night of failures
            steps = min(failures - 1, math.ceil(math.log(self.cap_s / self.first_s, self.factor)))
        else:
            steps = 0
        wait_s = min(self.first_s * self.factor**steps, self.cap_s)
        return wait_s * rng.uniform(1.0 - self.jitter, 1.0 + self.jitter)


class RedialSchedule:
    """Which addresses are due to be dialled, by what became of earlier dials. Pure: the caller brings `now`.

    Holds one entry an address, forgotten on success and by `retain`.
    """

    def __init__(self, policy: RedialPolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._failures: dict[str, int] = {}
        self._due_at: dict[str, Seconds] = {}

    def is_due(self, address: str, now: Seconds) -> bool:
        """Return whether to dial now; an address that never failed is always due."""
        return now >= self._due_at.get(address, now)

    def failed(self, address: str, now: Seconds) -> Seconds:
        """Note a failed dial; return the wait before the next."""
        failures = self._failures.get(address, 0) + 1
        wait_s = self._policy.wait_s(failures, self._rng)
        self._failures[address] = failures
        self._due_at[address] = now + wait_s
        return wait_s

    def succeeded(self, address: str) -> None:
        """Note that a peer answered: if it is lost again, the next dial comes at once."""
        self._failures.pop(address, None)
        self._due_at.pop(address, None)

    def failures(self, address: str) -> int:
        return self._failures.get(address, 0)

    def retain(self, addresses: set[str]) -> None:
        """Forget the addresses that no source names any more, so that the schedule cannot grow for ever."""
        for address in set(self._due_at) - addresses:
            self.succeeded(address)
