"""Whom a transport serves: everybody until `admit` is called for the first time, from then on the admitted alone.

A peer is connected before it is known whether it may take part. Two peers judge each other independently, so one of
them asks a moment before the other has made up its mind: its request waits for that, but not for long.
"""

import trio

from peer.errors import ProtocolError
from peer.peer_ids import short
from peer.types import PeerId, Seconds

PATIENCE_S: Seconds = 2.0
"""How long a request of a peer that is not admitted waits to be: a handshake takes milliseconds, one with a retry 1 s.
Streams of one peer are bounded, so strangers hold no more by waiting than by being slow."""


class Gate:
    """The admitted peers of one transport."""

    def __init__(self) -> None:
        self._admitted: frozenset[PeerId] | None = None
        self._changed = trio.Event()

    def admit(self, peers: frozenset[PeerId]) -> None:
        """Serve these and nobody else from now on."""
        self._admitted = peers
        self._changed.set()
        self._changed = trio.Event()

    def is_open_to(self, peer: PeerId) -> bool:
        return self._admitted is None or peer in self._admitted

    async def wait_for(self, peer: PeerId) -> None:
        """Return once `peer` is admitted. Raises: ProtocolError `not_admitted` after PATIENCE_S."""
        with trio.move_on_after(PATIENCE_S):
            while not self.is_open_to(peer):
                await self._changed.wait()
        if not self.is_open_to(peer):
            raise ProtocolError("not_admitted", f"{short(peer)} has not been admitted")
