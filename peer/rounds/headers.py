"""Announced deltas that are waiting to be sealed, by the base they were trained from."""

from collections import deque
from collections.abc import Collection

from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import DeltaHeader

_MAX_BASES = 16
_MAX_PEERS_PER_BASE = 128
NAME_BYTES = 16
"""As much of a header's digest as a group seal names it by."""
_NEWS = 64
"""Headers that came last and can be asked for; whoever has not looked for longer looks through all."""


class HeaderPool:
    """At most one header a peer and base: the one with the highest sequence. Bounded: oldest bases go first."""

    def __init__(self) -> None:
        self.version = 0  # grows with every header
        self._by_base: dict[Digest, dict[PeerId, Signed[DeltaHeader]]] = {}
        self._sorted: dict[Digest, list[Signed[DeltaHeader]]] = {}
        self._peers: dict[Digest, frozenset[PeerId]] = {}
        self._named: dict[Digest, dict[bytes, Signed[DeltaHeader]]] = {}
        self._news: deque[Signed[DeltaHeader]] = deque(maxlen=_NEWS)

    def add(self, header: Signed[DeltaHeader]) -> bool:
        """Keep `header`; return False when one at least as new is already held, or the pool is full."""
        peers = self._by_base.setdefault(Digest(header.message.base), {})
        known = peers.get(header.peer)
        if known is not None and known.message.sequence >= header.message.sequence:
            return False
        if known is None and len(peers) >= _MAX_PEERS_PER_BASE:
            return False
        named = self._named.setdefault(Digest(header.message.base), {})
        if known is None:
            self._peers.pop(Digest(header.message.base), None)
        else:
            del named[known.digest[:NAME_BYTES]]
        peers[header.peer] = named[header.digest[:NAME_BYTES]] = header
        self.version += 1
        self._news.append(header)
        self._sorted.pop(Digest(header.message.base), None)
        while len(self._by_base) > _MAX_BASES:
            self._drop(next(iter(self._by_base)))
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

    def _drop(self, base: Digest) -> None:
        del self._by_base[base]
        self._sorted.pop(base, None)
        self._peers.pop(base, None)
        self._named.pop(base, None)
        self._news.clear()
        self.version += 1  # with no news: everybody looks through all that is left
