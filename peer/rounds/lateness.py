"""Who misses the seals although it can be reached, as one peer has seen it: a round does not wait for those."""

from collections.abc import Collection

from peer.types import PeerId

_MISS = 2
_LIMIT = 3
_MOST = 6
"""Two misses in a row, or three within a few rounds, and a peer is not waited for until it was in time as often."""
_SILENT = 16
"""Misses in a row after which a peer that has left the roster is not late any more: it does not take part."""


class Lateness:
    """A score a member: up with every miss, down with every seal that it was in time for. Bounded by the roster."""

    def __init__(self) -> None:
        self._scores: dict[PeerId, int] = {}
        self._missed: dict[PeerId, int] = {}
        self._late: frozenset[PeerId] = frozenset()

    def note(self, in_time: Collection[PeerId], *, members: frozenset[PeerId], reachable: frozenset[PeerId]) -> None:
        """Look at a sealed round. members: the roster after it.

        A peer that cannot be reached is forgotten. One that only fell off the roster is not: a late peer does so again
        and again.
        """
        known = (members | self._scores.keys()) & reachable
        missed = {peer: 0 if peer in in_time else self._missed.get(peer, 0) + 1 for peer in known}
        self._missed = {peer: number for peer, number in missed.items() if peer in members or number < _SILENT}
        self._scores = {
            peer: min(_MOST, self._scores.get(peer, 0) + _MISS) if number else max(0, self._scores.get(peer, 0) - 1)
            for peer, number in self._missed.items()
        }
        self._late = frozenset(peer for peer, score in self._scores.items() if score >= _LIMIT)

    def late_peers(self) -> frozenset[PeerId]:
        return self._late

    def __len__(self) -> int:
        return len(self._scores)
