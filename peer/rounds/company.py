"""Which other peers can be reached now, and what they were last heard to hold."""

import hashlib
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from peer.rounds.pure_work import PureWork
from peer.types import Digest, PeerId, Seconds
from peer.wire.sync import Tip

_GREETERS = 16
_NEWS = 64
"""Peers whose tip changed last and can be asked for."""
_MIXER = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: spreads the bits of a product (Knuth, "The Art of Computer Programming", 6.4)."""


@lru_cache(maxsize=8192)
def _ticket(peer: PeerId) -> int:
    return int.from_bytes(hashlib.sha256(peer.encode()).digest()[:8])


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a peer said of its tip.

    voted: the last round of its votes known then, which are older than what it said. announced: the highest sequence of
    its deltas known then, which are older, too. apart: it holds nothing that we hold and offered its whole state, or is
    on a branch that has left the window here.
    """

    tip: Tip
    voted: int
    announced: int = 0
    apart: bool = False


class Company:
    """The reachable peers. A *stranger* is one that has become reachable and has not told its tip yet.

    In a crowd, where everybody would ask every newcomer, about 16 peers drawn by hash do, and a newcomer asks about 16.
    """

    def __init__(self, me: PeerId, *, patience_s: Seconds, pure: PureWork, crowd: int = 64) -> None:
        """patience_s: how long a stranger is waited for before it counts as mute. crowd: more peers than this."""
        self._me = me
        self._ticket = _ticket(me)
        self._pure = pure
        self._crowd = crowd
        self._patience_s = patience_s
        self.alive: frozenset[PeerId] = frozenset({me})
        """The reachable peers and this one; the same object until that changes."""
        self._reachable: frozenset[PeerId] | None = frozenset()
        self._met_at: dict[PeerId, Seconds] = {}
        self.version = 0  # grows with every tip that is told, or forgotten as its peer has gone
        self._news: deque[PeerId] = deque(maxlen=_NEWS)
        self.told: dict[PeerId, Told] = {}
        """What each reachable peer last said of its tip."""
        self.apart: dict[PeerId, Told] = {}
        """What those of them said who hold nothing that we hold."""

    @property
    def reachable(self) -> frozenset[PeerId]:
        """The peers that can be reached, this one left out."""
        if self._reachable is None:
            self._reachable = self.alive - {self._me}
        return self._reachable

    def meet(self, peers: frozenset[PeerId], now: Seconds) -> bool:
        """Take over who is reachable, this peer among them or not; return whether anybody has come or gone."""
        alive = peers if self._me in peers else peers | {self._me}
        new, gone = self._pure.changes(self.alive, alive)
        if not new and not gone:
            return False
        for peer in gone:
            self._met_at.pop(peer, None)
            self.apart.pop(peer, None)
            if self.told.pop(peer, None) is not None:
                self._note(peer)
        others = len(alive) - 1
        strangers = new if others <= self._crowd else {peer for peer in new if self._greets(peer, others)}
        self._met_at.update(dict.fromkeys(strangers, now))
        self.alive, self._reachable = alive, None
        return True

    def _greets(self, peer: PeerId, size: int) -> bool:
        mixed = ((self._ticket ^ _ticket(peer)) * _MIXER) >> 32 & 0xFFFFFFFF
        return mixed % size < _GREETERS

    def heard(self, peer: PeerId, told: Told) -> None:
        """Take note of what a peer says of its tip."""
        self._met_at.pop(peer, None)
        if peer in self.alive:
            self.told[peer] = told
            self.apart.pop(peer, None)
            if told.apart:
                self.apart[peer] = told
            self._note(peer)

    def _note(self, peer: PeerId) -> None:
        self.version += 1
        self._news.append(peer)

    def told_since(self, version: int) -> list[PeerId] | None:
        """Return whose entry in `told` has changed after `version`; None when that is not known any more."""
        count = self.version - version
        return [self._news[index] for index in range(-count, 0)] if count <= len(self._news) else None

    def lost_sight_of(self, peers: Mapping[PeerId, Told]) -> None:
        """Take note that these, each with what it was last known to hold, are on a branch that has left the window."""
        for peer, told in peers.items():
            self.heard(peer, told)

    def last_tip(self, peer: PeerId) -> Digest | None:
        told = self.told.get(peer)
        return Digest(told.tip.digest) if told else None

    def told_at(self, tips: Collection[Digest]) -> frozenset[PeerId]:
        """Return the peers whose tip is one of these, as they last said."""
        return frozenset(peer for peer, told in self.told.items() if told.tip.digest in tips)

    @property
    def has_strangers(self) -> bool:
        """Somebody may still be waited for, or was until a moment ago."""
        return bool(self._met_at)

    def strangers(self, now: Seconds) -> list[PeerId]:
        """Return the strangers that are still waited for, sorted; the others are strangers no more."""
        if not self._met_at:
            return []
        for peer in [peer for peer, since in self._met_at.items() if now >= since + self._patience_s]:
            del self._met_at[peer]
        return sorted(self._met_at)

    def is_amid(self, members: frozenset[PeerId]) -> bool:
        """Return whether most of `members`, others than this peer among them, can be reached and are no strangers."""
        known = members & (self.alive - self._met_at.keys())
        return len(known) > 1 and 2 * len(known) > len(members)

    def patience_end(self) -> Seconds | None:
        """Return when the last stranger will have been waited for long enough; None without strangers."""
        return max(self._met_at.values()) + self._patience_s if self._met_at else None
