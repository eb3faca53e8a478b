"""Named totals since the start, such as refused messages by reason."""

from collections import Counter
from collections.abc import Mapping

MAX_NAMES = 512
OVERFLOW = "other"


class Counters:
    """Totals by name, for one thread. Beyond MAX_NAMES distinct names the rest is summed as `other`."""

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()

    def add(self, name: str, amount: int = 1) -> None:
        """Raises: ValueError when `amount` is negative: totals never fall."""
        if amount < 0:
            raise ValueError(f"counter {name!r} cannot fall by {-amount}")
        known = name in self._totals or len(self._totals) < MAX_NAMES
        self._totals[name if known else OVERFLOW] += amount

    def __getitem__(self, name: str) -> int:
        return self._totals[name]

    def merge(self, other: Mapping[str, int]) -> None:
        for name, amount in other.items():
            self.add(name, amount)

    def totals(self) -> dict[str, int]:
        """Return a copy, sorted by name."""
        return dict(sorted(self._totals.items()))
