"""Which other peers can be reached now, and what they were last heard to hold."""

import hashlib

from peer.types import Digest, PeerId, Seconds

_GREETERS = 16


class Company:
    """The reachable peers. A *stranger* is one that has become reachable and has not told its tip yet.

    In a crowd, where everybody would ask every newcomer, about 16 peers drawn by hash do, and a newcomer asks about 16.
    """

    def __init__(self, me: PeerId, *, patience_s: Seconds, crowd: int = 64) -> None:
        """patience_s: how long a stranger is waited for before it counts as mute. crowd: more peers than this."""
        self._me = me
        self._crowd = crowd
        self._patience_s = patience_s
        self.reachable: frozenset[PeerId] = frozenset()
        self.alive: frozenset[PeerId] = frozenset({me})
        """The reachable peers and this one."""
        self._met_at: dict[PeerId, Seconds] = {}
        self._tips: dict[PeerId, Digest] = {}

    def meet(self, peers: frozenset[PeerId], now: Seconds) -> list[PeerId]:
        """Take over who is reachable; return the newcomers, sorted."""
        peers = peers - {self._me}
        new = peers - self.reachable
        for peer in self.reachable - peers:
            self._met_at.pop(peer, None)
            self._tips.pop(peer, None)
        strangers = new if len(peers) <= self._crowd else {peer for peer in new if self._greets(peer, len(peers))}
        self._met_at.update(dict.fromkeys(strangers, now))
        self.reachable, self.alive = peers, peers | {self._me}
        return sorted(new)

    def _greets(self, peer: PeerId, size: int) -> bool:
        ticket = hashlib.sha256(f"{self._me} {peer}".encode()).digest()
        return int.from_bytes(ticket[:8]) % size < _GREETERS

    def heard(self, peer: PeerId, tip: Digest) -> None:
        self._met_at.pop(peer, None)
        if peer in self.reachable:
            self._tips[peer] = tip

    def last_tip(self, peer: PeerId) -> Digest | None:
        return self._tips.get(peer)

    def strangers(self, now: Seconds) -> list[PeerId]:
        """Return the strangers that are still waited for, sorted; the others are strangers no more."""
        for peer in [peer for peer, since in self._met_at.items() if now >= since + self._patience_s]:
            del self._met_at[peer]
        return sorted(self._met_at)

    def patience_end(self) -> Seconds | None:
        """Return when the last stranger will have been waited for long enough; None without strangers."""
        return max((since + self._patience_s for since in self._met_at.values()), default=None)
