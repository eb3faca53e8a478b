"""For how long finality waits for peers that say they are on another chain (docs/adr/0070, 0081). Pure.

Two chains that meet become one within a few rounds. Who is elsewhere for much longer, while this chain goes on, cannot
or will not come; and who only says so, signing nothing, could keep every round of everybody from being final for ever.
"""

from collections.abc import Collection

from peer.types import PeerId

_BAD_SHARE = 3
"""Fewer than one in so many members are left out: those whom the others outnumber twice (docs/adr/0081)."""
_FORGIVEN_EVERY = 10
"""Rounds without a word of another chain make good for one with: who claims and takes back by turns gains a tenth."""
_MAX_REMEMBERED = 256


class Forbearance:
    """Counts for each peer the rounds in which it was elsewhere; also while it is gone, as to dial again is free."""

    def __init__(self, *, rounds: int) -> None:
        """rounds: how many a peer is waited for."""
        self._rounds = rounds
        self._waited: dict[PeerId, float] = {}
        self._counted: set[PeerId] = set()
        self._round = 0
        self.ignored: frozenset[PeerId] = frozenset()
        """Whom `waits_for` left out last."""

    def waits_for(self, apart: Collection[PeerId], *, round_number: int, members: int) -> list[PeerId]:
        """Return those of the peers `apart` without which nothing is to be final, sorted.

        All, until some have been apart for too long; then all but those, if they are fewer than a third. Where they are
        more, this side may be the one that strayed. round_number: of the tip. members: on its roster.
        """
        if round_number > self._round:
            self._forgive((round_number - self._round) / _FORGIVEN_EVERY)
            self._round, self._counted = round_number, set()
        for peer in sorted(set(apart) - self._counted):
            self._count(peer)
        late = frozenset(peer for peer in apart if self._waited.get(peer, 0.0) >= self._rounds)
        self.ignored = late if _BAD_SHARE * len(late) < members else frozenset()
        return sorted(set(apart) - self.ignored)

    def _forgive(self, rounds: float) -> None:
        for peer in [peer for peer in self._waited if peer not in self._counted]:
            self._waited[peer] -= rounds
            if self._waited[peer] <= 0:
                del self._waited[peer]

    def _count(self, peer: PeerId) -> None:
        """Count the round in progress, once."""
        self._counted.add(peer)
        waited = self._waited.get(peer, 0.0)
        self._waited[peer] = waited + 1 if waited < self._rounds else waited
        while len(self._waited) > _MAX_REMEMBERED:
            del self._waited[min(self._waited, key=lambda peer: (self._waited[peer], peer))]
