"""Announced deltas that are waiting to be sealed, by the base they were trained from."""

from collections import deque
from collections.abc import Callable, Collection

from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import DeltaHeader

_MAX_BASES = 16
"""Bases that are not near the tip: a manifest that may still come, or none that ever will."""
_MAX_BASES_PER_PEER = 2
"""Of these, so many with headers of one peer: it trains from one base at a time."""
_MAX_PEERS_PER_BASE = 128
NAME_BYTES = 16
"""As much of a header's digest as a group seal names it by."""
_NEWS = 64
"""Headers that came last and can be asked for; whoever has not looked for longer looks through all."""


class HeaderPool:
    """At most one header a peer and base: the one with the highest sequence.

    Bounded: headers on bases near the tip stay, of others the oldest go first. On a full base members displace others.
    """

    def __init__(self, *, is_near: Callable[[Digest], bool], is_member: Callable[[PeerId], bool]) -> None:
        """is_near: whether a base is in the chain, near the tip. is_member: whether a peer is on the tip's roster."""
        self._is_near = is_near
        self._is_member = is_member
        self.version = 0  # grows with every header
        self.num_lost = 0  # headers that were held and no longer are; those of one base count as one
        self._by_base: dict[Digest, dict[PeerId, Signed[DeltaHeader]]] = {}
        self._sorted: dict[Digest, list[Signed[DeltaHeader]]] = {}
        self._peers: dict[Digest, frozenset[PeerId]] = {}
        self._named: dict[Digest, dict[bytes, Signed[DeltaHeader]]] = {}
        self._news: deque[Signed[DeltaHeader]] = deque(maxlen=_NEWS)

    def add(self, header: Signed[DeltaHeader]) -> bool:
        """Keep `header`; return False when one at least as new is already held, or there is no room for it."""
        base = Digest(header.message.base)
        known = self._by_base.get(base, {}).get(header.peer)
        if known is not None and known.message.sequence >= header.message.sequence:
            return False
        if not self._make_room(base, header, known):
            return False
        if known is not None:
            self._remove(base, known)
        self._by_base.setdefault(base, {})[header.peer] = header
        self._named.setdefault(base, {})[header.digest[:NAME_BYTES]] = header
        if known is None:
            self._peers.pop(base, None)
        self._sorted.pop(base, None)
        self.version += 1
        self._news.append(header)
        return True

    def added_since(self, version: int) -> list[Signed[DeltaHeader]] | None:
        """Return the headers that came after `version`, oldest first; None when that is not known any more."""
        count = self.version - version
        return list(self._news)[len(self._news) - count :] if count <= len(self._news) else None

    def on_base(self, base: Digest) -> list[Signed[DeltaHeader]]:
        """Return the headers for the round after `base`, sorted by peer id."""
        found = self._sorted.get(base)
        if found is None:
            peers = self._by_base.get(base, {})
            found = self._sorted[base] = [peers[peer] for peer in sorted(peers)]
            while len(self._sorted) > _MAX_BASES:
                del self._sorted[next(iter(self._sorted))]
        return found

    def peers_on(self, base: Digest) -> frozenset[PeerId]:
        """Return who has announced a delta for the round after `base`; the same object until that changes."""
        if base not in self._by_base:
            return frozenset()
        if base not in self._peers:
            self._peers[base] = frozenset(self._by_base[base])
        return self._peers[base]

    def newest_of(self, peer: PeerId) -> Signed[DeltaHeader] | None:
        """Return the newest header of a peer on any base; None without any."""
        own = [headers[peer] for headers in self._by_base.values() if peer in headers]
        return max(own, key=lambda header: header.message.sequence, default=None)

    def named(self, base: Digest, name: bytes) -> Signed[DeltaHeader] | None:
        """Return the header for the round after `base` whose digest begins with `name`, of NAME_BYTES bytes."""
        return self._named.get(base, {}).get(name)

    def announcing(self, payload: Digest) -> list[Signed[DeltaHeader]]:
        """Return the headers that name `payload`."""
        return [
            header for peers in self._by_base.values() for header in peers.values() if header.message.payload == payload
        ]

    def payloads(self) -> set[bytes]:
        """Return the hashes of the payloads that the headers name."""
        return {header.message.payload for peers in self._by_base.values() for header in peers.values()}

    def bases(self) -> list[Digest]:
        return list(self._by_base)

    def forget(self, *, keep: Collection[Digest]) -> None:
        for base in [base for base in self._by_base if base not in keep]:
            self._drop(base)

    def _make_room(self, base: Digest, header: Signed[DeltaHeader], known: Signed[DeltaHeader] | None) -> bool:
        if known is not None:
            return True
        if not self._is_near(base) and not self._make_room_afar(base, header):
            return False
        peers = self._by_base.get(base, {})
        if len(peers) < _MAX_PEERS_PER_BASE:
            return True
        stranger = next((peer for peer in reversed(peers) if not self._is_member(peer)), None)
        if stranger is None or not self._is_member(header.peer):
            return False
        self._lose(base, peers[stranger])
        return True

    def _make_room_afar(self, base: Digest, header: Signed[DeltaHeader]) -> bool:
        """Make room for a header on a base that leads nowhere yet, at the cost of others such alone."""
        afar = [other for other in self._by_base if not self._is_near(other)]
        own = [self._by_base[other][header.peer] for other in afar if header.peer in self._by_base[other]]
        if len(own) >= _MAX_BASES_PER_PEER:
            oldest = min(own, key=lambda held: held.message.sequence)
            if oldest.message.sequence >= header.message.sequence:
                return False
            self._lose(Digest(oldest.message.base), oldest)
        afar = [other for other in afar if other in self._by_base and other != base]
        for other in afar[: max(0, len(afar) - _MAX_BASES + 1)]:
            self._drop(other)
        return True

    def _remove(self, base: Digest, header: Signed[DeltaHeader]) -> None:
        self.num_lost += 1
        del self._by_base[base][header.peer], self._named[base][header.digest[:NAME_BYTES]]

    def _lose(self, base: Digest, header: Signed[DeltaHeader]) -> None:
        self._remove(base, header)
        self._sorted.pop(base, None)
        self._peers.pop(base, None)
        if not self._by_base[base]:
            del self._by_base[base], self._named[base]
        self._forget_news()

    def _drop(self, base: Digest) -> None:
        self.num_lost += 1
        del self._by_base[base]
        self._sorted.pop(base, None)
        self._peers.pop(base, None)
        self._named.pop(base, None)
        self._forget_news()

    def _forget_news(self) -> None:
        self._news.clear()
        self.version += 1  # with no news: everybody looks through all that is left
