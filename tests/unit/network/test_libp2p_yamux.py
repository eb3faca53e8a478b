"""Streams over one connection: windows that hold, breaches that end it, and another implementation at the other end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.stream_muxer.yamux.yamux import Yamux

import peer.network.libp2p_tcp
import peer.network.libp2p_yamux_stream
from peer.addresses import parse_tcp_address
from peer.network.counters import new_counters
from peer.network.libp2p_dial import open_socket
from peer.network.libp2p_negotiation import proposal
from peer.network.libp2p_requests import DOWNLOAD_WINDOW_BYTES
from peer.network.libp2p_session import LENGTH_BYTES, MAC_BYTES
from peer.network.libp2p_tcp import CountedTcpStream
from peer.network.libp2p_transport import Libp2pTransport
from peer.network.libp2p_upgrade import secure
from peer.network.libp2p_yamux import (
    DATA,
    FRAMES_AT_ONCE,
    GO_AWAY,
    HEADER,
    LEAST_INCREMENT,
    MAX_HALF_CLOSED,
    MAX_UNREAD_BYTES,
    PING,
    WINDOW_UPDATE,
    YamuxConnection,
)
from peer.network.libp2p_yamux_stream import (
    ACK,
    FIN,
    INITIAL_WINDOW_BYTES,
    MAX_WRITE_BYTES,
    RST,
    SYN,
)
from peer.network.transport import MAX_MESSAGE_BYTES, PeerConnected, PeerDisconnected
from peer.types import PeerId
from tests.unit.network.loopback import (
    PATIENCE_S,
    Attacker,
    assert_serves,
    echo,
    open_attacker,
    open_peer,
    peer_id,
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
                _, found, flags, found_stream, length = HEADER.unpack(await self.secured.read_exactly(HEADER.size))
                body = bytes(await self.secured.read_exactly(length)) if found == DATA and length else b""
                if (found, found_stream) == (kind, stream):
                    return flags, length, body


@asynccontextmanager
async def open_frames() -> AsyncIterator[tuple[Libp2pTransport, Frames]]:
    async with open_peer(1, ping_interval_s=1000.0) as victim, open_attacker(2) as attacker:
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


@pytest.mark.parametrize(
    "breach",
    [
        {"kind": DATA, "flags": SYN, "length": INITIAL_WINDOW_BYTES + 1},
        {"kind": DATA, "flags": SYN, "stream": 2},
        {"kind": DATA, "flags": SYN, "stream": 0},
        {"kind": 4},
        {"kind": DATA, "version": 1},
        {"kind": GO_AWAY},
    ],
)
async def test_breach_of_the_protocol_ends_the_connection_and_nothing_else(
    breach: dict[str, Any],
) -> None:  # Any: arguments of `send`
    async with open_frames() as (victim, frames):
        await frames.send(**breach)
        await until(lambda: not victim.connected_peers())
        await assert_serves(victim)


async def test_number_of_a_stream_that_is_open_is_no_number_for_a_new_one() -> None:
    async with open_frames() as (victim, frames):
        await frames.send(WINDOW_UPDATE, SYN)
        await frames.send(WINDOW_UPDATE, SYN)
        await until(lambda: not victim.connected_peers())


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


async def test_data_on_a_stream_that_is_gone_is_dropped() -> None:
    async with open_frames() as (victim, frames):
        for _ in range(3):
            await frames.send(DATA, data=bytes(INITIAL_WINDOW_BYTES), stream=7)
        await frames.send(DATA, SYN, data=ECHO + EMPTY_REQUEST)
        assert (await frames.next(DATA))[0] & ACK
        assert victim.connected_peers()


@pytest.mark.parametrize(
    ("kind", "flags", "stream", "length", "data"),
    [
        (PING, SYN, 0, 1, b""),
        (PING, ACK, 0, 1, b""),
        (WINDOW_UPDATE, 0, 99, 1_000_000, b""),
        (WINDOW_UPDATE, 0, 1, 1, b""),
        (DATA, 0, 99, 0, b""),
        (DATA, 0, 99, 0, bytes(60_000)),
    ],
    ids=["pings", "answers to none", "windows of no stream", "windows by a byte", "nothing", "data of no stream"],
)
async def test_flood_of_frames_that_bring_nothing_ends_the_connection(
    kind: int, flags: int, stream: int, length: int, data: bytes
) -> None:
    """They reach no handler, and so no other limit."""
    async with open_frames() as (victim, frames):
        await frames.send(WINDOW_UPDATE, SYN)
        with trio.fail_after(PATIENCE_S), suppress(IOException):
            while victim.connected_peers():
                await frames.send(kind, flags, stream=stream, length=length, data=data)
                await trio.lowlevel.checkpoint()
        await until(lambda: not victim.connected_peers())
        assert victim.counters()["flooders_banned"] == 1


async def test_what_was_under_way_when_pulls_were_given_up_is_no_flood() -> None:
    async with open_frames() as (victim, frames):
        for _ in range(4 * DOWNLOAD_WINDOW_BYTES // INITIAL_WINDOW_BYTES):
            await frames.send(DATA, stream=2, data=bytes(INITIAL_WINDOW_BYTES))
        await frames.send(PING, SYN, length=1, stream=0)
        await frames.next(PING, stream=0)
        assert victim.counters()["floods_refused"] == 0


async def test_ping_is_answered() -> None:
    async with open_frames() as (_, frames):
        await frames.send(PING, SYN, length=77, stream=0)
        assert await frames.next(PING, stream=0) == (ACK, 77, b"")


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


async def test_streams_that_a_peer_never_closes_are_bounded_in_number() -> None:
    async with open_frames() as (victim, frames):
        for number in range(MAX_HALF_CLOSED + 50):
            await frames.send(DATA, SYN, data=ECHO + EMPTY_REQUEST, stream=2 * number + 1)
            await frames.next(DATA, stream=2 * number + 1)
        await until(lambda: len(theirs(victim)) <= MAX_HALF_CLOSED)


async def test_stream_closed_at_both_ends_is_forgotten() -> None:
    async with open_frames() as (victim, frames):
        await frames.send(DATA, SYN, data=ECHO + EMPTY_REQUEST)
        await frames.next(DATA)
        await frames.send(WINDOW_UPDATE, FIN)
        await until(lambda: not theirs(victim))


async def test_damaged_message_ends_the_connection_and_nothing_else() -> None:
    for damaged in (b"\x00\x20" + bytes(32), b"\x00\x01x", b"\x00\x00"):
        async with open_frames() as (victim, frames):
            await frames.secured._tcp.write(damaged)
            await until(lambda: not victim.connected_peers())  # awaited within the turn
            await assert_serves(victim)


@pytest.mark.parametrize("other", ["/murmur/nothing/1", "/meshsub/9.9.9"])
async def test_proposal_of_what_is_not_served_is_refused_and_is_nobodys_mistake(other: str) -> None:
    async with open_frames() as (victim, frames):
        await frames.send(DATA, SYN, data=proposal(TProtocol(other)) + b"\x00\x00\x00\x05\xff\xff\xff\xff\xff")
        assert (await frames.next(DATA))[2].endswith(b"\x03na\n")
        assert (await frames.next(WINDOW_UPDATE))[0] & RST
        assert victim.counters()["protocol_errors"] == 0


async def flags_of_data(frames: Frames, expected: bytes) -> int:
    """Wait for the frame that carries just `expected`, whatever comes before it."""
    with trio.fail_after(PATIENCE_S):
        while True:
            _, kind, flags, _, length = HEADER.unpack(await frames.secured.read_exactly(HEADER.size))
            if kind == DATA and bytes(await frames.secured.read_exactly(length)) == expected:
                return int(flags)


async def test_request_goes_out_without_waiting_for_the_protocol() -> None:
    """Three ways there and back become one."""
    async with open_frames() as (victim, frames), trio.open_nursery() as nursery:
        nursery.start_soon(victim.request, peer_id(2), "anything/1", b"hello")
        expected = proposal(TProtocol("/murmur/anything/1")) + b"\x00\x00\x00\x05hello"
        await flags_of_data(frames, expected)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("sent", [b"\xff", b"\x00", b"\x02ab", b"\x03\xff\xff\n"])
async def test_nonsense_in_place_of_a_proposal_is_reset_and_counted(sent: bytes) -> None:
    async with open_frames() as (victim, frames):
        await frames.send(DATA, SYN, data=sent)
        assert (await frames.next(WINDOW_UPDATE))[0] & RST
        await until(lambda: victim.counters()["protocol_errors"] == 1)


async def test_the_librarys_own_session_muxer_and_negotiation_are_understood() -> None:
    async with open_peer(1) as served, open_attacker(2) as dialler:
        served.handle("echo/1", echo)
        stream = await open_socket(parse_tcp_address(served.listen_addresses[0]))
        upgrader = dialler._host.swarm.upgrader
        raw = RawConnection(CountedTcpStream(stream, new_counters()), initiator=True)
        session = await upgrader.security_multistream.secure_outbound(raw, ID.from_base58(served.local_peer))
        await upgrader.muxer_multistream.select_transport(session)
        muxed = Yamux(session, ID.from_base58(served.local_peer), is_initiator=True)
        data = bytes(range(256)) * 3000
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(muxed.start)
                await muxed.event_started.wait()
                theirs = await muxed.open_stream()
                await MultiselectClient().select_one_of(
                    [TProtocol("/nothing/1"), TProtocol("/murmur/echo/1")], MultiselectCommunicator(theirs), 10
                )
                await theirs.write(len(data).to_bytes(4, "big"))
                await theirs.write(data)
                answer = b""
                while len(answer) < 4 + len(data):
                    answer += await theirs.read(65_536)
                assert answer[4:] == data
                nursery.cancel_scope.cancel()


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


async def test_request_and_response_each_close_their_direction_with_the_last_frame() -> None:
    """A frame for that alone would cost both ends a turn of the event loop, twice a request."""
    async with open_frames() as (victim, frames), trio.open_nursery() as nursery:
        await frames.send(DATA, SYN | FIN, data=ECHO + EMPTY_REQUEST)
        assert await frames.next(DATA) == (ACK | FIN, len(ECHO) + 4, ECHO + EMPTY_REQUEST)
        await until(lambda: not theirs(victim))
        nursery.start_soon(victim.request, peer_id(2), "anything/1", b"hello")
        expected = proposal(TProtocol("/murmur/anything/1")) + b"\x00\x00\x00\x05hello"
        assert await flags_of_data(frames, expected) == SYN | FIN
        nursery.cancel_scope.cancel()


def sealed(frames: Frames, plain: bytes) -> bytes:
    message = bytearray(LENGTH_BYTES + len(plain) + MAC_BYTES)
    frames.secured._seal_into(memoryview(message), 0, plain)
    return bytes(message)


async def test_messages_cut_in_the_middle_are_kept_apart_by_connection() -> None:
    """All connections read into the same memory."""
    async with open_frames() as (victim, one), open_attacker(3) as attacker:
        other = Frames(attacker)
        await other.connect(victim, peers=2)
        ping = HEADER.pack(0, PING, SYN, 0, 77)
        halves = [(frames, sealed(frames, ping)) for frames in (one, other)]
        for part in (slice(None, 9), slice(9, 20), slice(20, None)):
            for frames, message in halves:
                await frames.secured._tcp.write(message[part])
                await trio.sleep(0.05)
        for frames in (one, other):
            assert await frames.next(PING, stream=0) == (ACK, 77, b"")


class _Turns(trio.abc.Instrument):
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:  # trio's signature
        self.count += 1


async def test_thousands_of_frames_that_come_at_once_leave_others_their_turns() -> None:
    async with open_frames() as (_, frames):
        await frames.send(WINDOW_UPDATE, SYN)
        updates = HEADER.pack(0, WINDOW_UPDATE, 0, 1, LEAST_INCREMENT) * 2000
        turns = _Turns()
        trio.lowlevel.add_instrument(turns)
        try:
            await frames.secured.write(updates + HEADER.pack(0, PING, SYN, 0, 1))
            await frames.next(PING, stream=0)
        finally:
            trio.lowlevel.remove_instrument(turns)
        assert turns.count >= 2000 // FRAMES_AT_ONCE


async def test_consent_comes_before_the_answer_of_a_handler_that_has_to_wait() -> None:
    """Else who asked could not tell a slow answer from a peer that hangs."""
    answer_now = trio.Event()

    async def slow(_peer: PeerId, data: bytes) -> bytes:
        await answer_now.wait()
        return data

    slow_protocol = proposal(TProtocol("/murmur/slow/1"))
    async with open_frames() as (victim, frames):
        victim.handle("slow/1", slow)
        await frames.send(DATA, SYN | FIN, data=slow_protocol + EMPTY_REQUEST)
        assert await frames.next(DATA) == (ACK, len(slow_protocol), slow_protocol)
        answer_now.set()
        assert await frames.next(DATA) == (FIN, 4, EMPTY_REQUEST)


async def test_consent_comes_where_the_request_is_waited_for() -> None:
    async with open_frames() as (_, frames):
        await frames.send(DATA, SYN, data=ECHO + EMPTY_REQUEST[:2])
        assert await frames.next(DATA) == (ACK, len(ECHO), ECHO)
        await frames.send(DATA, FIN, data=EMPTY_REQUEST[2:])
        assert await frames.next(DATA) == (FIN, 4, EMPTY_REQUEST)


async def test_line_of_a_proposal_that_has_no_end_is_no_proposal() -> None:
    async with open_frames() as (victim, frames):
        await frames.send(DATA, SYN, data=ECHO[:-1] + b"x" + EMPTY_REQUEST)
        assert (await frames.next(WINDOW_UPDATE))[0] & RST
        await until(lambda: victim.counters()["protocol_errors"] == 1)


async def test_frames_cut_anywhere_are_taken_whole() -> None:
    async with open_frames() as (_, frames):
        request = HEADER.pack(0, DATA, SYN | FIN, 1, len(ECHO) + 7) + ECHO + b"\x00\x00\x00\x03abc"
        for byte in request:
            await frames.secured.write(bytes((byte,)))
        assert (await frames.next(DATA))[2] == ECHO + b"\x00\x00\x00\x03abc"
        for byte in HEADER.pack(0, PING, SYN, 0, 77):
            await frames.secured.write(bytes((byte,)))
        assert await frames.next(PING, stream=0) == (ACK, 77, b"")
