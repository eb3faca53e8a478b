"""Parting from peers that may not take part: they are told of, counted, and sent away."""

from collections.abc import Callable
from typing import Never

import trio

from peer.errors import ProtocolError
from peer.network.transport import Transport
from peer.telemetry.counters import Counters
from peer.telemetry.peer_events import PeerRefused
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds

_FAREWELL_S: Seconds = 0.5
"""Between refusing a peer and closing its connection: so that it can find out for itself what is wrong, and say so."""


class Partings:
    """Says who is sent away and why, and closes their connections."""

    def __init__(self, transport: Transport, *, sink: EventSink, counters: Counters) -> None:
        self._transport = transport
        self._sink = sink
        self._counters = counters
        self._expelled: list[PeerId] = []
        self._has_expelled = trio.Event()

    def tell(self, peer: PeerId, error: ProtocolError, *, host: str | None = None) -> None:
        """Count and report a refusal. host: where the peer was connected from; it may be gone already."""
        self._counters.refuse(error.reason)
        host = self._transport.remote_host(peer) or host
        self._sink.emit(PeerRefused(remote=peer, host=host, reason=error.reason, detail=error.detail))

    async def part(self, peer: PeerId, error: ProtocolError, *, host: str | None = None) -> None:
        """Refuse a peer that has learned from our card what does not fit."""
        self.tell(peer, error, host=host)
        await self._transport.disconnect(peer)

    async def part_slowly(self, peer: PeerId, error: ProtocolError, *, host: str | None = None) -> None:
        """Refuse a peer, and leave it time to examine us before its connection ends."""
        self.tell(peer, error, host=host)
        await trio.sleep(_FAREWELL_S)
        await self._transport.disconnect(peer)

    def expel(self, peer: PeerId, error: ProtocolError) -> None:
        """Refuse a peer that took part until now; `serve` ends its connection soon."""
        self.tell(peer, error)
        self._expelled.append(peer)
        self._has_expelled.set()

    async def serve(self, is_back: Callable[[PeerId], bool]) -> Never:
        """End the connections of expelled peers. is_back: whether one takes part again, as by a still newer list."""
        while True:
            await self._has_expelled.wait()
            self._has_expelled = trio.Event()
            await trio.sleep(_FAREWELL_S)
            while self._expelled:
                peer = self._expelled.pop()
                if not is_back(peer):
                    await self._transport.disconnect(peer)
