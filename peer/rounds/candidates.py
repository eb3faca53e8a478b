"""The headers that a manifest on the tip could admit, kept up to date header by header.

Asked for after every message, so nothing here looks through all headers unless the tip has moved.
"""

from collections.abc import Set

from peer.rounds.eligibility import Eligibility
from peer.rounds.entry import Entry
from peer.rounds.headers import HeaderPool
from peer.rounds.payloads import PayloadStore
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import DeltaHeader


class Candidates:
    """Headers on one base: those whose payload is held and that the chain lacks, and those that wait for a payload."""

    def __init__(self, pool: HeaderPool, payloads: PayloadStore, eligibility: Eligibility) -> None:
        self._pool = pool
        self._payloads = payloads
        self._base: Digest | None = None
        self._eligibility = eligibility
        self._seen = (0, 0, 0)
        self._version = 0
        self._ready: dict[PeerId, Signed[DeltaHeader]] = {}
        self._waiting: dict[PeerId, Signed[DeltaHeader]] = {}

    def peers(self, tip: Entry) -> Set[PeerId]:
        """Return whose headers a manifest on `tip` could admit now; a view that changes with the next call."""
        self._update(tip)
        return self._ready.keys()

    def version(self, tip: Entry) -> int:
        """Return a number that grows whenever one of the other answers changes."""
        self._update(tip)
        return self._version

    def headers(self, tip: Entry) -> list[Signed[DeltaHeader]]:
        """Return the headers that a manifest on `tip` could admit now, sorted by peer id."""
        self._update(tip)
        return [self._ready[peer] for peer in sorted(self._ready)]

    def is_waiting(self, tip: Entry) -> bool:
        """Return whether a header on `tip` lacks its payload."""
        self._update(tip)
        return bool(self._waiting)

    def _update(self, tip: Entry) -> None:
        seen = self._pool.version, self._payloads.version, self._eligibility.version
        if tip.digest == self._base and seen == self._seen:
            return
        is_same = tip.digest == self._base and seen[2] == self._seen[2]
        news = self._pool.added_since(self._seen[0]) if is_same else None
        if news is None:
            self._ready, self._waiting = {}, {}
            news = self._pool.on_base(tip.digest)
        self._base, self._seen = tip.digest, seen
        self._version += bool(news) or not is_same
        for header in news:
            if header.message.base == tip.digest and self._eligibility.takes(header.peer):
                self._ready.pop(header.peer, None)  # a newer one takes its place
                self._waiting[header.peer] = header
        for header in [header for header in self._waiting.values() if header.message in self._payloads]:
            del self._waiting[header.peer]
            self._version += 1
            if header.message.sequence > tip.held_of(header.peer):
                self._ready[header.peer] = header
