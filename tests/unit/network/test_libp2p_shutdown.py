"""Leaving a libp2p transport leaves nothing behind: no socket, no task, no wait for a peer that hangs."""

import gc
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from peer.errors import TransportError
from peer.network import libp2p_connections
from peer.network.libp2p_connections import GOODBYE_S, peer_of
from peer.network.libp2p_tcp import STALL_S
from peer.network.libp2p_transport import Libp2pTransport
from peer.network.transport import MAX_MESSAGE_BYTES
from tests.held_port import held_port
from tests.unit.network.loopback import PATIENCE_S, echo, open_cable, open_peer, peer_id, until


def open_sockets() -> int:
    return sum(_is_socket(link) for link in Path("/proc/self/fd").iterdir())


def _is_socket(link: Path) -> bool:
    try:
        return str(link.readlink()).startswith("socket:")
    except FileNotFoundError:  # the directory listing itself
        return False


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def open_before() -> tuple[int, int]:
    """Return how many sockets are open and tasks live, without those that other tests have left as garbage: they may be
    closed at any time."""
    gc.collect()
    return open_sockets(), tasks()


async def use(one: Libp2pTransport, other: Libp2pTransport) -> None:
    other.handle("echo/1", echo)
    await one.connect(other.listen_addresses[0])
    await one.request(other.local_peer, "echo/1", b"x")
    await one.publish(b"x")


async def test_closing_ends_every_socket_and_task() -> None:
    before = open_before()
    for _ in range(3):
        async with open_peer(1) as one, open_peer(2) as other:
            await use(one, other)
            await other.connect(one.listen_addresses[0])
            assert open_sockets() > before[0]
    await until(lambda: (open_sockets(), tasks()) == before)


async def test_cancelling_ends_every_socket_and_task() -> None:
    before = open_before()
    with trio.CancelScope() as scope:
        async with open_peer(1) as one, open_peer(2) as other:
            await use(one, other)
            scope.cancel()
            await trio.sleep_forever()
    await until(lambda: (open_sockets(), tasks()) == before)


async def test_error_of_the_body_comes_out_and_leaves_nothing() -> None:
    before = open_before()

    async def fail() -> None:
        async with open_peer(1) as one, open_peer(2) as other:
            await use(one, other)
            raise KeyError("ours")

    with pytest.raises(ExceptionGroup) as caught:
        await fail()
    assert caught.group_contains(KeyError)
    await until(lambda: (open_sockets(), tasks()) == before)


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing() -> None:
    """A goodbye, as py-libp2p sends one, would wait for room in the socket for ever; ours waits for GOODBYE_S."""

    async def ask_in_vain(one: Libp2pTransport) -> None:
        with suppress(TransportError):
            await one.request(peer_id(2), "void/1", bytes(MAX_MESSAGE_BYTES))

    async with (
        open_peer(2) as other,
        open_cable(other.listen_addresses[0]) as cable,
        open_peer(1, ping_interval_s=1000.0) as one,
        trio.open_nursery() as nursery,
    ):
        await one.connect(cable.address)
        cable.cut()
        for _ in range(20):  # more than the buffers of the cable hold
            nursery.start_soon(ask_in_vain, one)
        await trio.testing.wait_all_tasks_blocked()
        (conn,) = one._connections.all()
        begun = trio.current_time()
        with trio.fail_after(PATIENCE_S):
            await one._connections.close_all(cause="closed by us", goodbye=True)
        assert conn.muxed_conn.is_closed
        assert trio.current_time() - begun < GOODBYE_S + STALL_S / 2


async def test_closing_waits_for_many_peers_that_hang_as_long_as_for_one(
    real_time: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_peer(1) as other, AsyncExitStack() as stack:
        one = await stack.enter_async_context(open_peer(2, ping_interval_s=10_000.0))
        for number in range(3, 9):
            hanging = await stack.enter_async_context(open_peer(number, ping_interval_s=10_000.0))
            cable = await stack.enter_async_context(open_cable(hanging.listen_addresses[0]))
            await one.connect(cable.address)
            cable.cut()
        await one.connect(other.listen_addresses[0])
        waiting, closed = [conn for conn in one._connections.all() if peer_of(conn) != peer_id(1)], trio.Event()

        async def close() -> None:
            await one._connections.close_all(cause="closed by us", goodbye=True)
            closed.set()

        with monkeypatch.context() as patched, trio.fail_after(1000.0 + PATIENCE_S):
            patched.setattr(libp2p_connections, "GOODBYE_S", 1000.0)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(close)
                await trio.testing.wait_all_tasks_blocked()
                assert not closed.is_set()
                assert not any(conn.muxed_conn.is_closed for conn in waiting)
                real_time.jump(1000.0)


async def test_who_stops_takes_no_connections_any_more_before_it_says_so() -> None:
    """Else who hears the goodbye would dial again at once, meet it, and lose it without another word."""
    async with AsyncExitStack() as stack:
        staying = await stack.enter_async_context(open_peer(2, ping_interval_s=1000.0))
        cable = await stack.enter_async_context(open_cable(staying.listen_addresses[0]))
        late = await stack.enter_async_context(open_peer(3))
        async with trio.open_nursery() as nursery, open_peer(1, ping_interval_s=1000.0) as stopping:
            address = stopping.listen_addresses[0]
            await stopping.connect(cable.address)
            cable.cut()  # so that it waits

            async def dial() -> None:
                await until(lambda: not stopping.connected_peers())
                with pytest.raises(TransportError, match="refused"):
                    await late.connect(address)

            nursery.start_soon(dial)
        assert late.counters()["dials_failed"] == 1


async def test_connection_that_was_being_made_when_a_peer_stops_is_closed_with_the_others() -> None:
    async with open_peer(1) as one, open_peer(2) as other:
        one._connections._is_ending = True
        await other.connect(one.listen_addresses[0])
        await until(lambda: not other.connected_peers())
        assert not one.connected_peers()


async def test_the_same_port_can_be_bound_again_at_once() -> None:
    with held_port() as port:
        for _ in range(4):
            address = f"/ip4/127.0.0.1/tcp/{port}"
            async with open_peer(1, listen_address=address) as one, open_peer(2) as other:
                await use(other, one)
