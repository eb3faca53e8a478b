"""Named totals since the start, such as refused messages by reason."""

from collections import Counter

MAX_NAMES = 512
OVERFLOW = "other"
_REFUSED = "refused_"


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

    def refuse(self, reason: str) -> None:
        """Count what was refused, a message or a peer, under its reason."""
        self.add(_REFUSED + reason)

    def refusals(self) -> dict[str, int]:
        """Return how much was refused, by reason, sorted."""
        names = (name for name in sorted(self._totals) if name.startswith(_REFUSED))
        return {name.removeprefix(_REFUSED): self._totals[name] for name in names}

    def __getitem__(self, name: str) -> int:
        return self._totals[name]

    def totals(self) -> dict[str, int]:
        """Return a copy, sorted by name."""
        return dict(sorted(self._totals.items()))
