"""A connection on which tests write and read single frames of Yamux."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from libp2p.custom_types import TProtocol

from peer.addresses import parse_tcp_address
from peer.network.counters import new_counters
from peer.network.libp2p_dial import open_socket
from peer.network.libp2p_negotiation import proposal
from peer.network.libp2p_session import NoiseSession
from peer.network.libp2p_transport import Libp2pTransport
from peer.network.libp2p_upgrade import secure
from peer.network.libp2p_yamux import YamuxConnection
from peer.network.libp2p_yamux_frames import DATA, HEADER
from peer.network.transport import MAX_MESSAGE_BYTES
from peer.types import PeerId
from tests.unit.network.loopback import (
    PATIENCE_S,
    Attacker,
    echo,
    open_attacker,
    open_peer,
    until,
)

ECHO = proposal(TProtocol("/murmur/echo/1"))
EMPTY_REQUEST = b"\x00\x00\x00\x00"


class Frames:
    """A connection on which a test writes and reads single frames. It is stream 1 where no other is named."""

    def __init__(self, attacker: Attacker) -> None:
        self._swarm = attacker._host.swarm

    async def connect(self, victim: Libp2pTransport, *, peers: int = 1) -> None:
        """peers: how many the victim is connected to then."""
        stream = await open_socket(parse_tcp_address(victim.listen_addresses[0]))
        self.secured = (await secure(self._swarm, stream, new_counters(), is_initiator=True)).secured
        await self._swarm.upgrader.muxer_multistream.select_transport(self.secured)
        await until(lambda: len(victim.connected_peers()) == peers)

    async def send(
        self, kind: int, flags: int = 0, *, length: int = 0, data: bytes = b"", stream: int = 1, version: int = 0
    ) -> None:
        await self.secured.write(HEADER.pack(version, kind, flags, stream, length or len(data)) + data)

    async def next(self, kind: int, *, stream: int = 1) -> tuple[int, int, bytes]:
        """Return flags, length and body of the next frame of a kind on a stream; the victim opens some, too."""
        with trio.fail_after(PATIENCE_S):
            while True:
                _, found, flags, found_stream, length = HEADER.unpack(await read_exactly(self.secured, HEADER.size))
                body = await read_exactly(self.secured, length) if found == DATA and length else b""
                if (found, found_stream) == (kind, stream):
                    return flags, length, body


async def read_exactly(session: NoiseSession, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await session.read_some(size - len(data))
    return data


@asynccontextmanager
async def open_frames(**changes: Any) -> AsyncIterator[tuple[Libp2pTransport, Frames]]:  # Any: fields of the settings
    async with open_peer(1, ping_interval_s=1000.0, **changes) as victim, open_attacker(2) as attacker:
        victim.handle("echo/1", echo)
        frames = Frames(attacker)
        await frames.connect(victim)
        yield victim, frames


async def large(_peer: PeerId, _data: bytes) -> bytes:
    return bytes(MAX_MESSAGE_BYTES)


async def never(_peer: PeerId, _data: bytes) -> bytes:
    await trio.sleep_forever()
    raise AssertionError("unreachable")


def theirs(victim: Libp2pTransport) -> list[int]:
    """Return which streams of the other end the victim knows."""
    (conn,) = victim._connections.all()
    assert isinstance(conn.muxed_conn, YamuxConnection)
    return [number for number in conn.muxed_conn._streams if number % 2]
