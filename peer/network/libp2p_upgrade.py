"""From a TCP socket to a connection of the swarm: Noise proves who is there, Yamux multiplexes.

Both directions are done here, and not by py-libp2p's dialler and listener, so that a peer can be dialled
without knowing its id, and so that the socket stays at hand: it tells when the peer was last heard, and from where.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import trio
from libp2p.abc import IMuxedConn, IRawConnection, ISecureConn
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.stream.net_stream import NetStream
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID

from peer.errors import TransportError
from peer.network.identity import session_of
from peer.network.libp2p_session import NoiseSession
from peer.network.libp2p_tcp import CountedTcpStream
from peer.network.libp2p_yamux import YamuxConnection
from peer.network.libp2p_yamux_stream import YamuxStream
from peer.types import PeerId, Session

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuredSocket:
    """A socket whose other end has proved that it is `peer`, and which process of that identity."""

    peer: PeerId
    session: Session
    tcp: CountedTcpStream
    secured: NoiseSession
    is_initiator: bool


async def secure(
    swarm: Swarm, stream: trio.SocketStream, counters: dict[str, int], *, is_initiator: bool
) -> SecuredSocket:
    """Run the Noise handshake. Any identity is accepted; the caller compares it, and sets the deadline.

    On failure or cancellation the socket is closed. Raises: TransportError with the cause.
    """
    tcp = CountedTcpStream(stream, counters)
    raw = RawConnection(tcp, is_initiator)

    async def handshake() -> SecuredSocket:
        secured = await _secured(swarm, raw, is_initiator=is_initiator)
        peer = PeerId(secured.get_remote_peer().to_base58())
        noise_key = secured.get_remote_public_key()
        assert noise_key is not None, "Noise proves a static key"
        tcp.session = session_of(noise_key.to_bytes())
        session = NoiseSession(secured, tcp)
        return SecuredSocket(peer=peer, session=tcp.session, tcp=tcp, secured=session, is_initiator=is_initiator)

    return await _or_close(stream, "no handshake as a libp2p peer", handshake)


async def join_swarm(
    swarm: Swarm, secured: SecuredSocket, note_socket: Callable[[IMuxedConn, CountedTcpStream], None]
) -> SwarmConn:
    """Make the socket a connection of the swarm. note_socket: called before the swarm announces the connection.

    On failure or cancellation the socket is closed. Raises: TransportError with the cause.
    """

    async def join() -> SwarmConn:
        await swarm.upgrader.muxer_multistream.select_transport(secured.secured)  # there is only one to agree on
        muxed = YamuxConnection(secured.secured, ID.from_base58(secured.peer), serve=partial(_serve, swarm))
        note_socket(muxed, secured.tcp)
        try:
            conn = await swarm.add_conn(muxed, direction="outbound" if secured.is_initiator else "inbound")
        finally:
            _forget_ended(swarm, muxed)
        if conn.is_closed:
            raise TransportError("it ended at once")
        return conn

    return await _or_close(secured.tcp.stream, f"connection to {secured.peer} broke while starting", join)


def _forget_ended(swarm: Swarm, muxed: IMuxedConn) -> None:
    """Take a connection out of the swarm that ended before it was in.

    The swarm looks whether a connection lives, waits, and only then counts it; at the end of one that was not counted
    yet there was nothing to take out. It would hold one of `max_connections` for ever.
    """
    for conn in list(swarm.connections.get(muxed.peer_id, ())):
        if isinstance(conn, SwarmConn) and conn.muxed_conn is muxed and conn.is_closed:
            swarm.remove_conn(conn)


async def _serve(swarm: Swarm, stream: YamuxStream) -> None:
    """Do what the swarm's connection would, without its tasks, locks and registers: none of them is looked at here."""
    await swarm.common_stream_handler(NetStream(stream, None, None))


async def _secured(swarm: Swarm, raw: IRawConnection, *, is_initiator: bool) -> ISecureConn:
    noise = swarm.upgrader.security_multistream
    if is_initiator:
        return await noise.secure_outbound(raw, None)  # type: ignore[arg-type]  # it compares no id, and has one proved
    return await noise.secure_inbound(raw)


async def _or_close(stream: trio.SocketStream, what: str, step: Callable[[], Awaitable[_T]]) -> _T:
    try:
        return await step()
    except Exception as error:  # libp2p and protobuf have no common base, and no stranger may end the peer
        await trio.aclose_forcefully(stream)
        raise TransportError(f"{what}: {root_cause(error)}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


def root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
