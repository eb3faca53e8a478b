"""Who misses the seals although it can be reached, as one peer has seen it: a round does not wait for those."""

from collections.abc import Collection

from peer.types import PeerId

_MISS = 2
_LIMIT = 3
_MOST = 6
"""Two misses in a row, or three within a few rounds, and a peer is not waited for until it was in time as often."""


class Lateness:
    """A score a member: up with every miss, down with every seal that it was in time for. Bounded by the roster."""

    def __init__(self) -> None:
        self._scores: dict[PeerId, int] = {}
        self._late: frozenset[PeerId] = frozenset()

    def note(self, in_time: Collection[PeerId], *, members: frozenset[PeerId], reachable: frozenset[PeerId]) -> None:
        """Look at a sealed round. members: the roster after it. Who cannot be reached is forgotten, who only fell off
        the roster is not: a late peer does that again and again."""
        self._scores = {
            peer: max(0, self._scores.get(peer, 0) - 1)
            if peer in in_time
            else min(_MOST, self._scores.get(peer, 0) + _MISS)
            for peer in (members | self._scores.keys()) & reachable
        }
        self._late = frozenset(peer for peer, score in self._scores.items() if score >= _LIMIT)

    def late_peers(self) -> frozenset[PeerId]:
        return self._late

    def __len__(self) -> int:
        return len(self._scores)
