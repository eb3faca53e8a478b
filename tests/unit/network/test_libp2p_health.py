"""Peers that hang without closing their connection are given up in seconds; slow ones are not."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import pytest
import trio
from libp2p.network.connection.swarm_connection import SwarmConn
from trio.testing import MockClock

from peer.errors import TransportError
from peer.network import libp2p_health, libp2p_tcp
from peer.network.libp2p_health import watch_health
from peer.network.libp2p_transport import Libp2pTransport
from peer.network.transport import PeerConnected, PeerDisconnected
from tests.unit.network.loopback import PATIENCE_S, open_cable, open_peer, peer_id


async def test_silent_peer_is_given_up_with_the_cause() -> None:
    async with (
        open_peer(1, ping_interval_s=0.2, ping_timeout_s=0.3) as one,
        open_peer(2) as other,
        open_cable(other.listen_addresses[0]) as cable,
    ):
        await one.connect(cable.address)
        assert await one.events.receive() == PeerConnected(peer=peer_id(2))
        cable.cut()
        with trio.fail_after(PATIENCE_S):
            event = await one.events.receive()
        assert event == PeerDisconnected(peer=peer_id(2), cause="no answer to pings")
        assert not one.connected_peers()


async def test_silent_peer_with_a_full_socket_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A goodbye to a peer that does not read blocks: the socket is closed without one."""
    monkeypatch.setattr(libp2p_tcp, "STALL_S", 1.0)
    async with (
        open_peer(1, ping_interval_s=0.2, ping_timeout_s=0.3) as one,
        open_peer(2) as other,
        open_cable(other.listen_addresses[0]) as cable,
        trio.open_nursery() as nursery,
    ):
        await one.connect(cable.address)
        await one.events.receive()
        cable.cut()
        for _ in range(20):  # 20 MB: more than the buffers of the cable hold
            nursery.start_soon(_ask_in_vain, one)
        with trio.fail_after(PATIENCE_S):
            assert isinstance(await one.events.receive(), PeerDisconnected)
        nursery.cancel_scope.cancel()


async def test_peer_busy_with_a_slow_request_is_kept() -> None:
    async with open_peer(1, ping_interval_s=0.05, ping_timeout_s=2.0) as one, open_peer(2) as other:
        asked, answer_now = trio.Event(), trio.Event()

        async def slow(peer: str, data: bytes) -> bytes:
            asked.set()
            await answer_now.wait()
            return b"done"

        other.handle("slow/1", slow)
        await one.connect(other.listen_addresses[0])
        answers = []

        async def ask() -> None:
            answers.append(await one.request(peer_id(2), "slow/1", b""))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await asked.wait()
            await trio.sleep(0.5)  # ten pings' worth of being slow
            answer_now.set()
        assert answers == [b"done"]
        assert one.connected_peers() == {peer_id(2)}


async def _ask_in_vain(one: Libp2pTransport) -> None:
    with suppress(TransportError):
        await one.request(peer_id(2), "void/1", bytes(1_000_000))


class Unanswering:
    """A connection on which no ping is answered."""

    is_closed = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pings = 0
        monkeypatch.setattr(libp2p_health, "muxer_of", lambda conn: conn)
        monkeypatch.setattr(libp2p_health, "ping", Unanswering.ping)

    async def ping(self) -> bool:
        self.pings += 1
        await trio.sleep_forever()


async def watch(*conns: Unanswering, heard_at: Callable[[], float], until_s: float = 60.0) -> list[float]:
    """Return when those connections were given up that were not kept."""
    left, given_up_at = [cast(SwarmConn, conn) for conn in conns], list[float]()

    def give_up(conn: SwarmConn) -> None:
        left.remove(conn)
        given_up_at.append(trio.current_time())

    with trio.move_on_after(until_s):
        await watch_health(lambda: left, lambda _conn: heard_at(), give_up, interval_s=3.0, timeout_s=4.0)
    return given_up_at


async def test_peer_that_says_nothing_is_given_up_after_an_interval_and_two_timeouts(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (given_up_at,) = await watch(Unanswering(monkeypatch), heard_at=lambda: -math.inf)
    assert given_up_at <= 11.5


async def test_many_silent_peers_are_given_up_together(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other would take 6 times as long."""
    given_up_at = await watch(*(Unanswering(monkeypatch) for _ in range(6)), heard_at=lambda: -math.inf)
    assert len(given_up_at) == 6
    assert max(given_up_at) <= 11.5


async def test_peer_that_sends_anything_is_kept_though_its_pings_are_late(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = Unanswering(monkeypatch)
    assert not await watch(conn, heard_at=lambda: 5.0 * (trio.current_time() // 5.0))
    assert conn.pings > 0


async def test_peer_that_was_just_heard_is_not_pinged(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping is a stream of its own: in a swarm of 32 they would cost more than the rounds."""
    conn = Unanswering(monkeypatch)
    assert not await watch(conn, heard_at=lambda: 2.5 * (trio.current_time() // 2.5))
    assert conn.pings == 0
