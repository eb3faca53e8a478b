"""The watch over finality: no two peers that have met hold different models of a round that is final for both."""

import itertools
from collections.abc import Collection, Iterator

from tests.swarm.swarm_member import Faults, Member


class FinalWatch:
    """Two peers may differ until they have been connected for `settle_s`, and until no link between any peers has been
    cut or mended for `heal_s`."""

    def __init__(self) -> None:
        self.settle_s = 8.0
        self.heal_s = 8.0
        self._met_at: dict[tuple[int, int], float] = {}
        self._rewired_at = 0.0

    def rewired(self, now: float) -> None:
        """Take note that links have been cut or mended."""
        self._rewired_at = now

    def look(self, alive: Collection[Member], faults: Faults, now: float) -> list[str]:
        """Return where two of `alive` differ that should not; called every second, so that it sees who has met whom."""
        pairs = [pair for pair in itertools.combinations(alive, 2) if _can_talk(*pair, faults, now)]
        self._met_at = {_numbers(pair): self._met_at.get(_numbers(pair), now) for pair in pairs}
        return [
            f"t={now:.1f}: peers {a.number} and {b.number} differ in final round {round_number}"
            for a, b in pairs
            if now >= max(self._met_at[a.number, b.number] + self.settle_s, self._rewired_at + self.heal_s)
            for round_number in _differing(a, b)
        ]


def _numbers(pair: tuple[Member, Member]) -> tuple[int, int]:
    return pair[0].number, pair[1].number


def _can_talk(a: Member, b: Member, faults: Faults, now: float) -> bool:
    if max(a.paused_until, b.paused_until) > now:
        return False  # a frozen process is as good as cut off
    return not faults.cuts(a.number, b.number) and not faults.cuts(b.number, a.number)


def _differing(a: Member, b: Member) -> Iterator[int]:
    return (number for number in a.final.keys() & b.final.keys() if a.final[number] != b.final[number])
