"""How much is sent and taken in on a stream: windows that hold, readers that take nothing, memory that is bounded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
import trio.testing
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException

import peer.network.libp2p_tcp
import peer.network.libp2p_yamux_stream
from peer.network.libp2p_negotiation import proposal
from peer.network.libp2p_tcp import CountedTcpStream
from peer.network.libp2p_yamux import MAX_UNREAD_BYTES, STRAY_BYTES, muxer_of
from peer.network.libp2p_yamux_frames import DATA, PING, WINDOW_UPDATE
from peer.network.libp2p_yamux_stream import (
    ACK,
    INITIAL_WINDOW_BYTES,
    MAX_WRITE_BYTES,
    RST,
    SYN,
)
from peer.network.transport import MAX_MESSAGE_BYTES, PeerConnected, PeerDisconnected
from peer.types import PeerId
from peer.wire.limits import MAX_BLOB_BYTES
from tests.unit.network.loopback import (
    PATIENCE_S,
    assert_serves,
    until,
)
from tests.unit.network.yamux_frames import ECHO, EMPTY_REQUEST, large, never, open_frames, theirs


async def test_more_than_the_window_is_not_taken_in_however_it_is_cut() -> None:
    """py-libp2p's own muxer logs a warning and keeps all of it: a peer could fill the memory."""
    async with open_frames() as (victim, frames):
        victim.handle("never/1", never)
        request = proposal(TProtocol("/murmur/never/1")) + EMPTY_REQUEST
        await frames.send(DATA, SYN, data=request)
        await frames.next(DATA)
        rest = INITIAL_WINDOW_BYTES - len(request)
        for start in range(0, rest, 4096):
            await frames.send(DATA, data=bytes(min(4096, rest - start)))
        await frames.send(PING, SYN, stream=0)
        await frames.next(PING, stream=0)
        assert victim.connected_peers()
        await frames.send(DATA, data=b"x")
        await until(lambda: not victim.connected_peers())


async def test_writer_keeps_to_the_window_and_goes_on_when_it_is_widened() -> None:
    async with open_frames() as (victim, frames):
        victim.handle("large/1", large)
        await frames.send(DATA, SYN, data=proposal(TProtocol("/murmur/large/1")) + EMPTY_REQUEST)
        got = 0
        while got < INITIAL_WINDOW_BYTES:
            got += (await frames.next(DATA))[1]
        assert got == INITIAL_WINDOW_BYTES
        await frames.send(PING, SYN, length=1, stream=0)
        assert (await frames.next(PING, stream=0))[1] == 1  # and no data came before it
        await frames.send(WINDOW_UPDATE, length=1000)
        assert (await frames.next(DATA))[1] == 1000


async def test_reader_that_takes_nothing_is_reset_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would hold the writer, and what that writes, for ever."""
    monkeypatch.setattr(peer.network.libp2p_yamux_stream, "STALL_S", 0.2)
    async with open_frames() as (victim, frames):
        victim.handle("large/1", large)
        await frames.send(DATA, SYN, data=proposal(TProtocol("/murmur/large/1")) + EMPTY_REQUEST)
        assert (await frames.next(WINDOW_UPDATE))[0] & RST
        await until(lambda: not theirs(victim))


async def test_who_does_not_read_its_socket_is_disconnected_though_it_has_a_window_and_sends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither window nor pings would end it, and a reset could not be sent."""
    monkeypatch.setattr(peer.network.libp2p_tcp, "STALL_S", 0.3)
    content = memoryview(bytes(64 * 1024 * 1024))

    @asynccontextmanager
    async def huge(peer: PeerId, data: bytes) -> AsyncIterator[memoryview]:
        yield content

    async with open_frames() as (victim, frames):
        victim.handle_download("huge/1", huge)
        victim.admit(victim.connected_peers())
        await frames.send(WINDOW_UPDATE, SYN, length=len(content))
        await frames.send(DATA, data=proposal(TProtocol("/murmur/huge/1")) + EMPTY_REQUEST)
        with trio.fail_after(PATIENCE_S), suppress(IOException):
            while victim.connected_peers():
                await frames.send(PING, SYN, length=1, stream=0)
                await trio.sleep(0.05)
        await until(lambda: not victim.connected_peers())
        assert isinstance(await victim.events.receive(), PeerConnected)
        gone = await victim.events.receive()
        assert isinstance(gone, PeerDisconnected)
        assert "it took" in gone.cause


async def test_a_large_write_goes_out_in_few_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call for each message would wake the other end for each."""
    sizes: list[int] = []
    write = CountedTcpStream.write

    async def count(self: CountedTcpStream, data: bytes | bytearray | memoryview) -> None:
        sizes.append(len(data))
        await write(self, data)

    async with open_frames() as (victim, frames):
        victim.handle("large/1", large)
        monkeypatch.setattr(CountedTcpStream, "write", count)
        await frames.send(WINDOW_UPDATE, SYN, length=MAX_MESSAGE_BYTES)
        await frames.send(DATA, data=proposal(TProtocol("/murmur/large/1")) + EMPTY_REQUEST)
        received = 0
        while received < MAX_MESSAGE_BYTES:
            received += (await frames.next(DATA))[1]
    assert len([size for size in sizes if size > 1000]) <= MAX_MESSAGE_BYTES // MAX_WRITE_BYTES + 1


async def test_streams_that_nobody_reads_fill_no_more_than_the_connections_share() -> None:
    """Each keeps to its window; together they would hold 64 MiB."""
    request = proposal(TProtocol("/murmur/never/1")) + EMPTY_REQUEST
    unread = INITIAL_WINDOW_BYTES - len(request)
    async with open_frames() as (victim, frames):
        victim.handle("never/1", never)
        for number in range(MAX_UNREAD_BYTES // unread + 1):
            assert victim.connected_peers(), f"{number} streams of {unread} bytes were too many"
            await frames.send(DATA, SYN, data=request, stream=2 * number + 1)
            await frames.next(DATA, stream=2 * number + 1)
            await frames.send(DATA, data=bytes(unread), stream=2 * number + 1)
        await until(lambda: not victim.connected_peers())
        await assert_serves(victim)


async def test_stream_that_is_reset_gives_its_unread_bytes_back() -> None:
    request = proposal(TProtocol("/murmur/never/1")) + EMPTY_REQUEST
    unread = INITIAL_WINDOW_BYTES - len(request)
    async with open_frames() as (victim, frames):
        victim.handle("never/1", never)
        for number in range(2 * MAX_UNREAD_BYTES // unread):
            await frames.send(DATA, SYN, data=request, stream=2 * number + 1)
            await frames.next(DATA, stream=2 * number + 1)
            await frames.send(DATA, data=bytes(unread), stream=2 * number + 1)
            await frames.send(WINDOW_UPDATE, RST, stream=2 * number + 1)
        await frames.send(PING, SYN, stream=0)
        await frames.next(PING, stream=0)
        assert victim.connected_peers()


async def test_nothing_is_kept_of_what_comes_after_the_answer() -> None:
    """A holder has leave to send 4 MiB ahead of us. It has said that it has nothing, and sends them all the same."""
    consent = proposal(TProtocol("/murmur/blob/1"))
    async with open_frames() as (victim, frames):
        (attacker,), (conn,) = victim.connected_peers(), victim._connections.all()
        for stream in (4, 6):  # 2 is that of gossip
            async with trio.open_nursery() as nursery:
                download = partial(victim.download, attacker, "blob/1", b"?", max_bytes=MAX_BLOB_BYTES, take=len)
                nursery.start_soon(download)
                await frames.next(DATA, stream=stream)
                await frames.send(DATA, ACK, data=consent + EMPTY_REQUEST, stream=stream)
            for _ in range(15):
                await frames.send(DATA, data=bytes(INITIAL_WINDOW_BYTES), stream=stream)
        await frames.send(PING, SYN, stream=0)
        await frames.next(PING, stream=0)
        streams = muxer_of(conn)._streams
        assert {4, 6} <= streams.keys()
        assert sum(stream.unread_bytes for stream in streams.values()) == 0


async def test_what_comes_after_the_answer_counts_as_not_asked_for() -> None:
    charged: list[int] = []

    def charge(size: int) -> bool:
        charged.append(size)
        return True

    consent = proposal(TProtocol("/murmur/echo/1"))
    async with open_frames() as (victim, frames):
        (attacker,), (conn,) = victim.connected_peers(), victim._connections.all()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(victim.request, attacker, "echo/1", b"?")
            await frames.next(DATA, stream=4)
            await frames.send(DATA, ACK, data=consent + EMPTY_REQUEST, stream=4)
        muxer_of(conn).admits_stray = charge
        await frames.send(DATA, data=bytes(INITIAL_WINDOW_BYTES - 1024), stream=4)
        await frames.send(DATA, SYN, data=ECHO + EMPTY_REQUEST, stream=1)
        await frames.next(DATA, stream=1)
        await frames.send(DATA, data=bytes(1024), stream=1)
        await until(lambda: STRAY_BYTES in charged)


async def test_nothing_is_kept_of_what_a_neighbour_says_where_it_is_to_listen() -> None:
    async with open_frames() as (victim, frames):
        (conn,) = victim._connections.all()
        gossip = (await frames.next(DATA, stream=2))[2]
        await frames.send(DATA, ACK, data=gossip, stream=2)
        await frames.send(DATA, data=bytes(INITIAL_WINDOW_BYTES - len(gossip)), stream=2)
        await frames.send(PING, SYN, stream=0)
        await frames.next(PING, stream=0)
        await until(lambda: muxer_of(conn)._streams[2].unread_bytes == 0)
