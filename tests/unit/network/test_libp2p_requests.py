"""Requests against peers that do not keep the rules: bounded in bytes and time, reset, counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from trio.testing import MockClock

import peer.network.libp2p_yamux_stream
from peer.errors import TransportError
from peer.network.budget import MAX_HELD_FOR_ONE_BYTES
from peer.network.libp2p_transport import Libp2pTransport
from peer.network.libp2p_yamux import YamuxConnection
from peer.network.transport import MAX_MESSAGE_BYTES
from peer.types import PeerId
from tests.unit.network.loopback import (
    PATIENCE_S,
    assert_serves,
    echo,
    is_reset,
    open_attacker,
    open_cable,
    open_peer,
    peer_id,
    until,
)

OVERSIZE = (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big")


@pytest.mark.parametrize("sent", [OVERSIZE, b"\xff\xff\xff\xff"])
async def test_oversize_request_is_reset_by_its_header_alone(sent: bytes) -> None:
    async with open_peer(1) as victim, open_attacker(2) as attacker:
        victim.handle("echo/1", echo)
        await attacker.connect(victim.listen_addresses[0])
        stream = await attacker.open_stream(victim.local_peer, "/murmur/echo/1")
        await stream.write(sent)
        assert await is_reset(stream)
        assert victim.counters()["frames_refused"] == 1
        await assert_serves(victim)


async def test_truncated_request_never_reaches_the_handler() -> None:
    reached = []

    async def note(peer: PeerId, data: bytes) -> bytes:
        reached.append(data)
        return b""

    async with open_peer(1) as victim, open_attacker(2) as attacker:
        victim.handle("note/1", note)
        await attacker.connect(victim.listen_addresses[0])
        for sent in (b"", b"\x00\x00", b"\x00\x00\x00\x09abc"):
            stream = await attacker.open_stream(victim.local_peer, "/murmur/note/1")
            if sent:
                await stream.write(sent)
            await stream.close()
        await until(lambda: victim.counters()["frames_refused"] == 3)
        assert not reached


async def test_peer_that_opens_a_stream_and_sleeps_is_reset(real_time: MockClock) -> None:
    async with open_peer(1, stream_idle_s=1000.0) as victim, open_attacker(2) as attacker:
        victim.handle("echo/1", echo)
        await attacker.connect(victim.listen_addresses[0])
        stream = await attacker.open_stream(victim.local_peer, "/murmur/echo/1")
        await stream.write(b"\x00\x00\x00\x05ab")
        await until(lambda: victim._requests._budget.held == 5)
        real_time.jump(1000.0)
        assert await is_reset(stream)
        assert victim.counters()["frames_refused"] == 1


@pytest.mark.parametrize("answer", [OVERSIZE + b"x" * 100, b"\x00\x00\x00\x09abc", b"\x00", b""])
async def test_bad_response_fails_the_request_and_keeps_the_connection(answer: bytes) -> None:
    async with open_peer(1) as one, open_peer(2) as liar:

        async def lie(stream: INetStream) -> None:
            await stream.read(4)
            if answer:
                await stream.write(answer)
            await stream.close()

        liar._requests._host.set_stream_handler(TProtocol("/murmur/lie/1"), lie)
        liar.handle("echo/1", echo)
        await one.connect(liar.listen_addresses[0])
        with trio.fail_after(PATIENCE_S), pytest.raises(TransportError, match="lie/1 request"):
            await one.request(peer_id(2), "lie/1", b"question")
        assert one.counters()["frames_refused"] == (1 if answer.startswith(OVERSIZE) else 0)
        assert await one.request(peer_id(2), "echo/1", b"x") == b"x"


async def test_unread_response_is_dropped_and_the_server_goes_on() -> None:
    """A requester that never reads must not hold the server's other streams of the same connection."""
    async with open_peer(1) as victim, open_attacker(2) as attacker:

        async def large(peer: PeerId, data: bytes) -> bytes:
            return bytes(MAX_MESSAGE_BYTES)

        victim.handle("large/1", large)
        await attacker.connect(victim.listen_addresses[0])
        for _ in range(10):
            stream = await attacker.open_stream(victim.local_peer, "/murmur/large/1")
            await stream.write(b"\x00\x00\x00\x00")
        await assert_serves(victim)


def open_streams(transport: Libp2pTransport) -> int:
    (conn,) = transport._connections.all()
    assert isinstance(conn.muxed_conn, YamuxConnection)
    return len(conn.muxed_conn._streams)


async def test_abandoned_requests_leave_no_open_stream() -> None:
    async with open_peer(1) as one, open_peer(2) as other:

        async def never(peer: PeerId, data: bytes) -> bytes:
            await trio.sleep_forever()
            raise AssertionError("unreachable")

        other.handle("never/1", never)
        await one.connect(other.listen_addresses[0])
        for _ in range(20):
            with trio.move_on_after(0.05):
                await one.request(peer_id(2), "never/1", b"")
        gossip = 2  # one each way
        await until(lambda: max(open_streams(one), open_streams(other)) <= gossip)


async def test_handler_of_a_vanished_requester_is_not_an_error() -> None:
    async with open_peer(1) as server:
        asked, answer_now = trio.Event(), trio.Event()

        async def slow(peer: PeerId, data: bytes) -> bytes:
            asked.set()
            await answer_now.wait()
            return bytes(1000)

        server.handle("slow/1", slow)
        async with open_peer(2) as client, trio.open_nursery() as nursery:
            await client.connect(server.listen_addresses[0])
            nursery.start_soon(client.request, peer_id(1), "slow/1", b"")
            await asked.wait()
            nursery.cancel_scope.cancel()
        answer_now.set()
        await assert_serves(server)
        assert server.counters()["handler_errors"] == 0


async def test_request_that_is_cancelled_does_not_wait_for_a_peer_that_reads_nothing() -> None:
    """Until the peer was given up, it had: 11 s by pings, which are off here."""
    too_late = False

    async def give_up(one: Libp2pTransport, peer: PeerId) -> None:
        nonlocal too_late
        await trio.sleep(PATIENCE_S)
        too_late = True
        await one.disconnect(peer)

    async with (
        open_peer(2) as other,
        open_cable(other.listen_addresses[0]) as cable,
        open_peer(1, ping_interval_s=1000.0) as one,
        trio.open_nursery() as nursery,
    ):
        await one.connect(cable.address)
        cable.cut()
        nursery.start_soon(give_up, one, other.local_peer)
        with trio.move_on_after(0.5):
            async with trio.open_nursery() as requests:
                for _ in range(100):  # more than the socket takes
                    requests.start_soon(one.request, other.local_peer, "echo/1", bytes(MAX_MESSAGE_BYTES))
        assert not too_late
        nursery.cancel_scope.cancel()


async def test_requests_that_are_announced_and_never_sent_hold_no_more_than_a_share() -> None:
    """Four of the largest are waited for at a time; the sender may try again when one of them is over."""
    allowed = MAX_HELD_FOR_ONE_BYTES // MAX_MESSAGE_BYTES
    largest = MAX_MESSAGE_BYTES.to_bytes(4, "big")
    async with open_peer(1) as victim, open_attacker(2) as attacker:
        victim.handle("echo/1", echo)
        await attacker.connect(victim.listen_addresses[0])
        streams = [await attacker.open_stream(victim.local_peer, "/murmur/echo/1") for _ in range(allowed + 1)]
        for stream in streams:
            await stream.write(largest)
        await until(lambda: victim.counters()["frames_refused"] == 1)  # of any of them: their handlers run in any order
        assert victim._requests._budget.held == allowed * MAX_MESSAGE_BYTES
        await assert_serves(victim)
        for stream in streams:
            await stream.reset()
        await until(lambda: victim._requests._budget.held == 0)


async def test_answers_that_nobody_takes_hold_no_more_than_a_share() -> None:
    allowed = MAX_HELD_FOR_ONE_BYTES // MAX_MESSAGE_BYTES

    async def large(peer: PeerId, data: bytes) -> bytes:
        return bytes(MAX_MESSAGE_BYTES)

    async with open_peer(1) as victim, open_attacker(2) as attacker:
        victim.handle("large/1", large)
        await attacker.connect(victim.listen_addresses[0])
        for _ in range(allowed + 2):
            stream = await attacker.open_stream(victim.local_peer, "/murmur/large/1")
            await stream.write(b"\x00\x00\x00\x00")
        await until(lambda: victim.counters()["frames_refused"] == 2)
        assert victim._requests._budget.held == MAX_HELD_FOR_ONE_BYTES
        await assert_serves(victim)


class _Steps(trio.abc.Instrument):
    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # trio's signature
        self.count += 1


async def test_a_request_takes_few_steps_at_both_ends_together() -> None:
    """Through the swarm's tasks, locks and registers it took 25; each costs as much as sending 50 KB."""
    async with open_peer(1) as one, open_peer(2) as other:
        other.handle("echo/1", echo)
        await one.connect(other.listen_addresses[0])
        await one.request(peer_id(2), "echo/1", b"x")
        counts = []
        for _ in range(20):
            steps = _Steps()
            trio.lowlevel.add_instrument(steps)
            await one.request(peer_id(2), "echo/1", b"x")
            trio.lowlevel.remove_instrument(steps)
            counts.append(steps.count)
        assert min(counts) <= 4, counts


async def test_handler_of_a_download_is_told_that_it_was_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer.network.libp2p_yamux_stream, "STALL_S", 0.2)
    causes: list[Exception] = []

    @asynccontextmanager
    async def serve(_peer: PeerId, _data: bytes) -> AsyncIterator[bytes]:
        try:
            yield bytes(MAX_MESSAGE_BYTES)
        except TransportError as error:
            causes.append(error)
            raise

    async with open_peer(1) as victim, open_attacker(2) as attacker:
        victim.handle_download("blob/1", serve)
        await attacker.connect(victim.listen_addresses[0])
        stream = await attacker.open_stream(victim.local_peer, "/murmur/blob/1")
        await stream.write(b"\x00\x00\x00\x00")
        await until(lambda: bool(causes))
        await assert_serves(victim)
        assert victim.counters()["handler_errors"] == 0
