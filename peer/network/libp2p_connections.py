"""Which peers are connected, by py-libp2p's connections: there may be several for a peer, and dying ones linger."""

import math
from collections.abc import Awaitable, Callable

import trio
from libp2p.abc import IMuxedConn
from libp2p.network.connection.swarm_connection import SwarmConn

from peer.errors import TransportError
from peer.network.libp2p_tcp import CountedTcpStream
from peer.network.libp2p_yamux import muxer_of
from peer.network.transport import NO_GOODBYE, STOPPED, PeerConnected, PeerDisconnected, TransportEvent
from peer.types import PeerId, Seconds, Session

EVENT_QUEUE = 1024

GOODBYE_S: Seconds = 0.5
"""For the other ends to take our goodbye and hang up; who does not is hung up on."""


class ConnectionTable:
    """The live connections by peer, and the events of peers that came and went.

    A peer is connected from its first connection to the end of its last. Two peers that dial each other at
    the same time have two connections; that makes no second event.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._by_peer: dict[PeerId, list[SwarmConn]] = {}
        self._sockets: dict[IMuxedConn, CountedTcpStream] = {}
        self._is_ending = False
        self._events_in, self.events = trio.open_memory_channel[TransportEvent](EVENT_QUEUE)
        self.changed: Callable[[], None] = lambda: None
        """Called when `peers` has changed, whether or not there was room for the event."""

    def peers(self) -> frozenset[PeerId]:
        return frozenset(self._by_peer)

    def of_peer(self, peer: PeerId) -> tuple[SwarmConn, ...]:
        return tuple(self._by_peer.get(peer, ()))

    def newest_to(self, peer: PeerId) -> SwarmConn:
        """Return the last connection to `peer` that was made. Raises: TransportError when there is none."""
        conns = self._by_peer.get(peer)
        if not conns:
            raise TransportError(f"not connected to {peer}")
        return conns[-1]

    def all(self) -> list[SwarmConn]:
        return [conn for conns in self._by_peer.values() for conn in conns]

    def note_socket(self, muxed: IMuxedConn, stream: CountedTcpStream) -> None:
        """Remember what carries a connection that is about to be added."""
        self._sockets[muxed] = stream

    def forget_socket(self, stream: CountedTcpStream) -> None:
        """Undo `note_socket` for a connection that came to nothing."""
        self._sockets = {muxed: other for muxed, other in self._sockets.items() if other is not stream}

    def heard_at(self, conn: SwarmConn) -> Seconds:
        """Return when the last byte came in on this connection, minus infinity when that is unknown."""
        stream = self._sockets.get(conn.muxed_conn)
        return stream.heard_at if stream is not None else -math.inf

    def made_at(self, conn: SwarmConn) -> Seconds:
        """Return when this connection was made, minus infinity when that is unknown."""
        stream = self._sockets.get(conn.muxed_conn)
        return stream.made_at if stream is not None else -math.inf

    def session_of(self, conn: SwarmConn) -> Session | None:
        """Return which process is at the other end of this connection, None when its socket is gone."""
        stream = self._sockets.get(conn.muxed_conn)
        return None if stream is None else stream.session

    def of_session(self, peer: PeerId, session: Session) -> tuple[SwarmConn, ...]:
        return tuple(conn for conn in self.of_peer(peer) if self.session_of(conn) == session)

    def host_of(self, conn: SwarmConn) -> str | None:
        """Return the IP address at the other end of this connection, None when its socket is gone."""
        stream = self._sockets.get(conn.muxed_conn)
        try:
            return None if stream is None else str(stream.stream.socket.getpeername()[0])
        except OSError:
            return None

    def host_of_peer(self, peer: PeerId) -> str | None:
        """Return from where `peer` is connected, None when it is not."""
        return next((host for conn in self.of_peer(peer) if (host := self.host_of(conn))), None)

    def add(self, conn: SwarmConn) -> None:
        """Take note of a new connection, and of its end when that comes."""
        if conn.is_closed:
            self._sockets.pop(conn.muxed_conn, None)
            return
        if self._is_ending:
            self._start(conn.close)
            return
        peer = peer_of(conn)
        conns = self._by_peer.setdefault(peer, [])
        conns.append(conn)
        if len(conns) == 1:
            self._announce(PeerConnected(peer=peer))
        self._start(self._watch, peer, conn)

    def close(self, conn: SwarmConn, *, cause: str) -> None:
        """End a connection at once, whatever state it is in; `cause` goes into the event."""
        self._remove(PeerDisconnected(peer=peer_of(conn), cause=cause), conn)
        self._start(conn.close)

    def close_peer(self, peer: PeerId, cause: str) -> None:
        """End every connection of `peer`."""
        for conn in self.of_peer(peer):
            self.close(conn, cause=cause)

    def tell(self, event: TransportEvent) -> None:
        """Put an event into the queue; when it is full the event is lost."""
        try:
            self._events_in.send_nowait(event)
        except (trio.WouldBlock, trio.BrokenResourceError):
            return  # repaired by connected_peers, as the contract says

    def _start(self, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Start a task unless the transport is ending: then the host closes what comes in late."""
        if not self._nursery.cancel_scope.cancel_called:
            self._nursery.start_soon(task, *arguments)

    async def close_all(self, *, cause: str, goodbye: bool) -> None:
        """End every connection, take no more, and return when their sockets are closed.

        goodbye: tell the other ends that this process stops; where that cannot be done in GOODBYE_S, it is left out.
        """
        self._is_ending = True
        async with trio.open_nursery() as nursery:
            for conn in self.all():
                self._remove(PeerDisconnected(peer=peer_of(conn), cause=cause), conn)
                nursery.start_soon(_part if goodbye else SwarmConn.close, conn)

    async def _watch(self, peer: PeerId, conn: SwarmConn) -> None:
        await conn.event_closed.wait()  # set when closing begins: the swarm's own notice comes 0.1 s later
        stream = self._sockets.pop(conn.muxed_conn, None)
        if muxer_of(conn).heard_goodbye:
            end = PeerDisconnected(peer=peer, cause=STOPPED, stopped=True)
        else:
            cause = (stream and stream.stalled) or muxer_of(conn).breach or NO_GOODBYE
            end = PeerDisconnected(peer=peer, cause=cause)
        self._remove(end, conn)

    def _remove(self, end: PeerDisconnected, conn: SwarmConn) -> None:
        """Take note that `conn` is over; `end` is told if it was the last of its peer."""
        conns = self._by_peer.get(end.peer, [])
        if conn not in conns:
            return
        conns.remove(conn)
        if not conns:
            del self._by_peer[end.peer]
            self._announce(end)

    def _announce(self, event: TransportEvent) -> None:
        self.changed()
        self.tell(event)


async def _part(conn: SwarmConn) -> None:
    with trio.move_on_after(GOODBYE_S):
        await muxer_of(conn).say_goodbye()
    await conn.close()


def peer_of(conn: SwarmConn) -> PeerId:
    return PeerId(conn.muxed_conn.peer_id.to_base58())
