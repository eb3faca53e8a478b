"""Whose work this peer takes: everybody's, or only that of the peers on its allow-list.

The roster is a function of the chain (docs/adr/0004), and allow-lists spread in seconds, not at once. So a list never
makes a manifest invalid; it makes it *unwelcome*: not sealed, not followed and not voted for by whoever knows better,
unless a majority of the roster stands behind it anyway (docs/adr/0040).
"""

from collections.abc import Iterable

from peer.rounds.entry import Entry
from peer.types import PeerId


class Eligibility:
    """allowed: None for everybody. version: grows with every change."""

    def __init__(self, me: PeerId) -> None:
        self._me = me
        self._allowed: frozenset[PeerId] | None = None
        self.version = 0

    def allow(self, peers: frozenset[PeerId] | None) -> None:
        if peers != self._allowed:
            self._allowed = peers
            self.version += 1

    def takes(self, peer: PeerId) -> bool:
        """Return whether work of `peer` may be sealed. A peer takes its own always: off the list, it trains alone."""
        return self._allowed is None or peer in self._allowed or peer == self._me

    def unwelcome(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return those that admit, or were sealed by, somebody whose work is not taken."""
        if self._allowed is None:
            return []
        return [entry for entry in entries if not all(map(self.takes, _authors(entry)))]


def _authors(entry: Entry) -> Iterable[PeerId]:
    yield from (header.peer for header in entry.headers)
    if entry.sealer is not None:
        yield entry.sealer
