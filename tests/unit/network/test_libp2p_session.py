"""Encrypted messages over a socket: many in one read, whole however they are cut, and none copied about."""

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError

import peer.network.libp2p_upgrade
from peer.errors import TransportError
from peer.network.counters import new_counters
from peer.network.identity import Identity
from peer.network.libp2p_guard import StreamGuard
from peer.network.libp2p_host import build_host
from peer.network.libp2p_session import (
    LENGTH_BYTES,
    MAC_BYTES,
    MAX_NEGOTIATION_MESSAGES,
    MAX_PLAINTEXT_BYTES,
    MESSAGES_AT_ONCE,
    NoiseSession,
)
from peer.network.libp2p_tcp import CountedTcpStream
from peer.network.libp2p_upgrade import secure
from tests.unit.network.loopback import PATIENCE_S, settings
from tests.unit.network.yamux_frames import read_exactly


@asynccontextmanager
async def open_sessions() -> AsyncIterator[tuple[NoiseSession, NoiseSession]]:
    """Make the two ends of a socket, after the handshake."""
    ends: dict[bool, NoiseSession] = {}

    async def shake_hands(end: trio.socket.SocketType, *, is_initiator: bool) -> None:
        guard = StreamGuard(new_counters(), max_peer_streams=1)
        host = build_host(settings(), Identity.for_tests(1 + is_initiator), guard, lambda _conn: None)
        done = await secure(host.swarm, trio.SocketStream(end), new_counters(), is_initiator=is_initiator)
        ends[is_initiator] = done.secured

    near, far = trio.socket.socketpair()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(shake_hands, near, is_initiator=True))
            nursery.start_soon(partial(shake_hands, far, is_initiator=False))
    yield ends[True], ends[False]
    for end in ends.values():
        await end.close()


async def test_an_unforeseen_error_in_a_handshake_ends_the_connection_and_not_the_peer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_noise_key: bytes) -> None:
        raise AttributeError("nobody thought of that")

    monkeypatch.setattr(peer.network.libp2p_upgrade, "session_of", broken)
    ends = trio.socket.socketpair()

    async def shake_hands(end: trio.socket.SocketType, *, is_initiator: bool) -> None:
        guard = StreamGuard(new_counters(), max_peer_streams=1)
        host = build_host(settings(), Identity.for_tests(1 + is_initiator), guard, lambda _conn: None)
        with pytest.raises(TransportError, match="AttributeError: nobody thought of that"):
            await secure(host.swarm, trio.SocketStream(end), new_counters(), is_initiator=is_initiator)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(shake_hands, ends[0], is_initiator=True))
            nursery.start_soon(partial(shake_hands, ends[1], is_initiator=False))
    assert [end.fileno() for end in ends] == [-1, -1], "both sockets are closed"


async def test_messages_that_came_together_are_taken_by_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """py-libp2p reads twice for each: its length, and the rest."""
    reads: list[int] = []
    taken: list[bytes] = []
    async with open_sessions() as (one, other):
        await one.write_messages([b"%d" % number for number in range(MESSAGES_AT_ONCE)])
        monkeypatch.setattr(CountedTcpStream, "_note", lambda _stream, count: reads.append(count))
        with trio.fail_after(PATIENCE_S):
            while len(taken) < MESSAGES_AT_ONCE:
                await other.receive(lambda plain: taken.append(bytes(plain)))
    assert taken == [b"%d" % number for number in range(MESSAGES_AT_ONCE)]
    assert len(reads) == 1


async def test_message_in_two_hundred_segments_arrives() -> None:
    """py-libp2p's gives up after 100 partial reads."""
    message, sealed = bytes(range(250)) * 4, bytearray(LENGTH_BYTES + 1000 + MAC_BYTES)
    async with open_sessions() as (one, other), trio.open_nursery() as nursery:

        async def read() -> None:
            assert await read_exactly(other, len(message)) == message

        nursery.start_soon(read)
        one._seal_into(memoryview(sealed), 0, message)
        for start in range(0, len(sealed), 5):
            await one._tcp.write(sealed[start : start + 5])
            await trio.testing.wait_all_tasks_blocked()


async def test_message_is_copied_nowhere_but_out_of_its_seal() -> None:
    """py-libp2p makes six copies of it, of which several are there at a time."""
    message, taken = bytes(MAX_PLAINTEXT_BYTES), list[memoryview]()
    async with open_sessions() as (one, other):
        for _ in range(2):  # the first finds no memory to read into
            taken.clear()
            tracemalloc.start()
            try:
                await one.write(message)
                with trio.fail_after(PATIENCE_S):
                    while not taken:
                        await other.receive(taken.append)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert taken == [message]
    assert peak < 1.5 * len(message)


async def test_messages_without_a_byte_are_opened_no_longer_than_a_negotiation_takes() -> None:
    """They count as no bytes of it: opened one after the other until its deadline, they kept everybody waiting."""
    async with open_sessions() as (one, other):
        await one.write_messages([b""] * (MAX_NEGOTIATION_MESSAGES + 1))
        with trio.fail_after(PATIENCE_S), pytest.raises(ConnectionClosedError, match="negotiation of over 256"):
            await other.read(1)
