"""Frames of one connection: breaches that end it, floods, and another implementation at the other end."""

from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.stream_muxer.yamux.yamux import Yamux

from peer.addresses import parse_tcp_address
from peer.network.libp2p_dial import open_socket
from peer.network.libp2p_requests import DOWNLOAD_WINDOW_BYTES
from peer.network.libp2p_session import LENGTH_BYTES, MAC_BYTES
from peer.network.libp2p_yamux import LEAST_INCREMENT, MAX_HALF_CLOSED, PIECES_CHARGED, muxer_of
from peer.network.libp2p_yamux_frames import (
    DATA,
    FRAMES_AT_ONCE,
    GO_AWAY,
    HEADER,
    NORMAL_TERMINATION,
    PING,
    WINDOW_UPDATE,
)
from peer.network.libp2p_yamux_stream import (
    ACK,
    FIN,
    INITIAL_WINDOW_BYTES,
    SYN,
)
from peer.network.transport import NO_GOODBYE, STOPPED, PeerConnected, PeerDisconnected
from peer.types import PeerId
from tests.unit.network.loopback import (
    PATIENCE_S,
    assert_serves,
    echo,
    open_attacker,
    open_peer,
    peer_id,
    until,
)
from tests.unit.network.yamux_frames import ECHO, EMPTY_REQUEST, Frames, open_frames, theirs

LIMITS = {"piece_rate": float(PIECES_CHARGED), "gossip_rate": 10.0, "unasked_bytes_rate": 1e6}
"""So low that a flood is above them on the busiest machine."""


@pytest.mark.parametrize(
    "breach",
    [
        {"kind": DATA, "flags": SYN, "length": INITIAL_WINDOW_BYTES + 1},
        {"kind": DATA, "flags": SYN, "stream": 2},
        {"kind": DATA, "flags": SYN, "stream": 0},
        {"kind": 4},
        {"kind": DATA, "version": 1},
    ],
)
async def test_breach_of_the_protocol_ends_the_connection_and_nothing_else(
    breach: dict[str, Any],
) -> None:  # Any: arguments of `send`
    async with open_frames() as (victim, frames):
        await frames.send(**breach)
        await until(lambda: not victim.connected_peers())
        _, end = [await victim.events.receive() for _ in range(2)]
        assert isinstance(end, PeerDisconnected)
        assert end.cause.startswith("it broke the protocol: ")
        await assert_serves(victim)


@pytest.mark.parametrize(("code", "stopped"), [(NORMAL_TERMINATION, True), (1, False), (2, False), (2**32 - 1, False)])
async def test_only_one_code_is_a_goodbye(code: int, *, stopped: bool) -> None:
    async with open_frames() as (victim, frames):
        await frames.send(GO_AWAY, stream=0, length=code)
        await until(lambda: not victim.connected_peers())
        assert [await victim.events.receive() for _ in range(2)] == [
            PeerConnected(peer=peer_id(2)),
            PeerDisconnected(peer=peer_id(2), cause=STOPPED if stopped else NO_GOODBYE, stopped=stopped),
        ]


async def test_what_comes_behind_a_goodbye_is_not_taken() -> None:
    async with open_frames() as (victim, frames):
        taken: list[bytes] = []

        async def take(_peer: PeerId, data: bytes) -> bytes:
            taken.append(data)
            return data

        victim.handle("echo/1", take)
        goodbye = HEADER.pack(0, GO_AWAY, 0, 0, NORMAL_TERMINATION)
        request = ECHO + EMPTY_REQUEST
        await frames.secured.write(goodbye + HEADER.pack(0, DATA, SYN, 1, len(request)) + request)
        await until(lambda: not victim.connected_peers())
        await assert_serves(victim)
        assert taken == []


async def test_number_of_a_stream_that_is_open_is_no_number_for_a_new_one() -> None:
    async with open_frames() as (victim, frames):
        await frames.send(WINDOW_UPDATE, SYN)
        await frames.send(WINDOW_UPDATE, SYN)
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
    async with open_frames(**LIMITS) as (victim, frames):
        await frames.send(WINDOW_UPDATE, SYN)
        with trio.fail_after(PATIENCE_S), suppress(IOException):
            while victim.connected_peers():
                await frames.send(kind, flags, stream=stream, length=length, data=data)
                await trio.lowlevel.checkpoint()
        await until(lambda: not victim.connected_peers())
        assert victim.counters()["flooders_banned"] == 1


@pytest.mark.parametrize(
    "small",
    [
        [b""] * PIECES_CHARGED,
        [HEADER.pack(0, DATA, 0, 1, 0) * PIECES_CHARGED],
        [HEADER.pack(0, WINDOW_UPDATE, ACK, 1, 0) * PIECES_CHARGED],
        [(HEADER.pack(0, DATA, 0, 3, 1) + b"x") * PIECES_CHARGED],
    ],
    ids=["messages without a byte", "data without a byte", "consent again and again", "data byte by byte"],
)
async def test_flood_of_small_pieces_ends_the_connection(small: list[bytes]) -> None:
    """Each costs as much as one that brings something, thousands fit into one read, and no stream is told of them."""
    async with open_frames(piece_rate=LIMITS["piece_rate"]) as (victim, frames):
        await frames.send(WINDOW_UPDATE, SYN)
        await frames.send(DATA, SYN, stream=3, data=ECHO + b"\x00\x0f\xff\xff")
        await frames.send(WINDOW_UPDATE, stream=3, length=1 << 30)
        with trio.fail_after(PATIENCE_S), suppress(IOException):
            for _ in range(200):
                await frames.secured.write_messages(small)
                await trio.lowlevel.checkpoint()
        await until(lambda: not victim.connected_peers())
        assert victim.counters()["flooders_banned"] == 1


async def test_what_is_large_pays_for_nothing_that_is_small_later() -> None:
    charged: list[int] = []

    def charge(count: int) -> bool:
        charged.append(count)
        return True

    async with open_frames() as (victim, frames):
        (conn,) = victim._connections.all()
        muxer_of(conn).admits_pieces = charge
        for _ in range(8):
            await frames.send(DATA, stream=99, data=bytes(INITIAL_WINDOW_BYTES))
        await frames.send(PING, SYN, length=1, stream=0)
        await frames.next(PING, stream=0)
        assert not charged
        await frames.secured.write(HEADER.pack(0, WINDOW_UPDATE, 0, 99, 0) * (2 * PIECES_CHARGED))
        await frames.send(PING, SYN, length=2, stream=0)
        await frames.next(PING, stream=0)
        assert charged


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


async def test_the_librarys_own_session_muxer_and_negotiation_are_understood() -> None:
    async with open_peer(1) as served, open_attacker(2) as dialler:
        served.handle("echo/1", echo)
        stream = await open_socket(parse_tcp_address(served.listen_addresses[0]))
        upgrader = dialler._host.swarm.upgrader
        raw = RawConnection(TrioTCPStream(stream), initiator=True)
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
        await trio.aclose_forcefully(stream)  # it leaves that to the garbage collector


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


async def test_frames_cut_anywhere_are_taken_whole() -> None:
    async with open_frames() as (_, frames):
        request = HEADER.pack(0, DATA, SYN | FIN, 1, len(ECHO) + 7) + ECHO + b"\x00\x00\x00\x03abc"
        for byte in request:
            await frames.secured.write(bytes((byte,)))
        assert (await frames.next(DATA))[2] == ECHO + b"\x00\x00\x00\x03abc"
        for byte in HEADER.pack(0, PING, SYN, 0, 77):
            await frames.secured.write(bytes((byte,)))
        assert await frames.next(PING, stream=0) == (ACK, 77, b"")
