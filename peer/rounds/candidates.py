"""The headers that a manifest on the tip, or the seal of the own group, could admit, kept up to date header by header.

Asked for after every message, so nothing here looks through all headers unless the tip has moved.
"""

from collections.abc import Callable, Set

from peer.rounds.eligibility import Eligibility
from peer.rounds.entry import Entry
from peer.rounds.group_seal import MAX_LEAP
from peer.rounds.headers import HeaderPool
from peer.rounds.payloads import PayloadStore
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import DeltaHeader


class Candidates:
    """Headers on one base: those whose payload is held and that the chain lacks, and those that wait for a payload."""

    def __init__(
        self,
        pool: HeaderPool,
        payloads: PayloadStore,
        eligibility: Eligibility,
        *,
        is_of_own_group: Callable[[PeerId], bool],
    ) -> None:
        """is_of_own_group: whether a peer contributes where this one does; a function of the tip."""
        self._pool = pool
        self._payloads = payloads
        self._base: Digest | None = None
        self._eligibility = eligibility
        self._is_of_own_group = is_of_own_group
        self._seen = (0, 0, 0)
        self._version = 0
        self._ready: dict[PeerId, Signed[DeltaHeader]] = {}
        self._waiting: dict[PeerId, Signed[DeltaHeader]] = {}

    def peers(self, tip: Entry) -> Set[PeerId]:
        """Return whose headers could be admitted on `tip` now; a view that changes with the next call."""
        self._update(tip)
        return self._ready.keys()

    def version(self, tip: Entry) -> int:
        """Return a number that grows whenever one of the other answers changes."""
        self._update(tip)
        return self._version

    def headers(self, tip: Entry) -> list[Signed[DeltaHeader]]:
        """Return the headers that could be admitted on `tip` now, sorted by peer id."""
        self._update(tip)
        return [self._ready[peer] for peer in sorted(self._ready)]

    def waiting(self, tip: Entry) -> list[Signed[DeltaHeader]]:
        """Return the headers on `tip` that lack their payload, sorted by peer id."""
        self._update(tip)
        return [self._waiting[peer] for peer in sorted(self._waiting)] if self._waiting else []

    def _update(self, tip: Entry) -> None:
        seen = self._pool.version, self._payloads.version, self._eligibility.version
        if seen == self._seen and tip.digest == self._base:
            return
        is_same = tip.digest == self._base and seen[2] == self._seen[2]
        news = self._pool.added_since(self._seen[0]) if is_same else None
        if news is None:
            self._ready, self._waiting = {}, {}
            news = self._pool.on_base(tip.digest)
        self._base, self._seen = tip.digest, seen
        self._version += bool(news) or not is_same
        for header in news:
            peer = header.peer
            if header.message.base == tip.digest and self._eligibility.takes(peer) and self._is_of_own_group(peer):
                self._ready.pop(peer, None)  # a newer one takes its place
                self._waiting[peer] = header
        if not self._waiting:
            return
        for header in [header for header in self._waiting.values() if header.message in self._payloads]:
            del self._waiting[header.peer]
            self._version += 1
            if _adds_work(header, tip):
                self._ready[header.peer] = header


def _adds_work(header: Signed[DeltaHeader], tip: Entry) -> bool:
    """Return whether the chain lacks what `header` announces, and the seal of a group may say so of its author."""
    leap = header.message.sequence - tip.held_of(header.peer)
    return leap > 0 if tip.grouping is None else 0 < leap <= MAX_LEAP
