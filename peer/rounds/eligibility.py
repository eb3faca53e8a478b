"""Whose work this peer takes: everybody's, or only that of the peers on its allow-list; in no case of denied ones.

The roster is a function of the chain (docs/adr/0004), and allow-lists spread in seconds, not at once. So a list never
makes a manifest invalid; it makes it *unwelcome*: not sealed, not followed and not voted for by whoever knows better,
unless a majority of the roster stands behind it anyway (docs/adr/0040). Proofs against a peer spread likewise (0051).
"""

from collections.abc import Iterable

from peer.errors import ProtocolError
from peer.rounds.entry import Entry
from peer.types import PeerId


class Eligibility:
    """Decides whose work this peer takes.

    allowed: None for everybody. denied: against whom there is proof. version: grows with every change.
    """

    def __init__(self, me: PeerId) -> None:
        self._me = me
        self._allowed: frozenset[PeerId] | None = None
        self._denied: frozenset[PeerId] = frozenset()
        self.version = 0

    def allow(self, peers: frozenset[PeerId] | None) -> None:
        if peers != self._allowed:
            self._allowed = peers
            self.version += 1

    def deny(self, peers: frozenset[PeerId]) -> None:
        if peers != self._denied:
            self._denied = peers
            self.version += 1

    def takes(self, peer: PeerId) -> bool:
        """Return whether work of `peer` may be sealed. A peer takes its own always: off the list, it trains alone."""
        return peer == self._me or (peer not in self._denied and (self._allowed is None or peer in self._allowed))

    def check(self, peer: PeerId) -> None:
        """Raises: ProtocolError, saying why, when work of `peer` is not taken."""
        if self.takes(peer):
            return
        if peer in self._denied:
            raise ProtocolError("denied", "work of a peer that has signed contradicting statements")
        raise ProtocolError("not_allowed", "work of a peer that is not on the allow-list")

    def unwelcome(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return those that admit, or were sealed by, somebody whose work is not taken."""
        if self._allowed is None and not self._denied:
            return []
        return [entry for entry in entries if not all(map(self.takes, _authors(entry)))]


def _authors(entry: Entry) -> Iterable[PeerId]:
    yield from (header.peer for header in entry.headers)
    if entry.sealer is not None:
        yield entry.sealer
