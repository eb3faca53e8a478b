"""The faults of the in-memory network: each does what it says, in virtual time, the same for the same seed."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from peer.errors import TransportError
from peer.network.identity import Identity
from peer.network.memory_network import (
    LinkProfile,
    MemoryNetwork,
    fixed_latency,
)
from peer.network.memory_transport import MemoryTransport, open_memory_transport
from peer.network.transport import PeerConnected, PeerDisconnected
from peer.types import PeerId

IDS = [Identity.for_tests(number).peer_id for number in range(64)]
ONE_SECOND = LinkProfile(latency=fixed_latency(1.0))


def open_peer(network: MemoryNetwork, number: int) -> AbstractAsyncContextManager[MemoryTransport]:
    return open_memory_transport(network, IDS[number], f"/memory/{number}")


@asynccontextmanager
async def open_pair(network: MemoryNetwork) -> AsyncIterator[tuple[MemoryTransport, MemoryTransport]]:
    async with open_peer(network, 0) as one, open_peer(network, 1) as other:
        other.handle("echo/1", echo)
        await one.connect("/memory/1")
        assert await one.events.receive() == PeerConnected(peer=IDS[1])
        assert await other.events.receive() == PeerConnected(peer=IDS[0])
        yield one, other


async def echo(peer: PeerId, data: bytes) -> bytes:
    return data


async def settle(seconds: float = 30.0) -> None:
    """Let everything under way arrive; costs no real time."""
    await trio.sleep(seconds)


def drain(transport: MemoryTransport) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(transport.gossip.receive_nowait().data)
        except trio.WouldBlock:
            return found


# Time.


async def test_latency_delays_gossip_one_way_and_requests_both_ways(autojump_clock: MockClock) -> None:
    async with open_pair(MemoryNetwork(1, profile=ONE_SECOND)) as (one, other):
        start = trio.current_time()
        await one.publish(b"x")
        await other.gossip.receive()
        assert trio.current_time() - start == pytest.approx(1.0, abs=0.01)
        start = trio.current_time()
        await one.request(IDS[1], "echo/1", b"x")
        assert trio.current_time() - start == pytest.approx(2.0, abs=0.02)


async def test_bandwidth_delays_by_size(autojump_clock: MockClock) -> None:
    profile = LinkProfile(latency=fixed_latency(0.0), bytes_per_s=1000.0)
    async with open_pair(MemoryNetwork(1, profile=profile)) as (one, _):
        start = trio.current_time()
        await one.request(IDS[1], "echo/1", bytes(5000))
        assert trio.current_time() - start == pytest.approx(10.0, abs=0.02)


async def test_one_direction_of_one_link_can_be_slow(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1)
    async with open_pair(network) as (one, other):
        network.set_profile(IDS[1], IDS[0], ONE_SECOND)
        for speaker, hearer, delay in ((one, other, 0.0), (other, one, 1.0)):
            start = trio.current_time()
            await speaker.publish(b"x")
            await hearer.gossip.receive()
            assert trio.current_time() - start == pytest.approx(delay, abs=0.02)


# Loss and duplication.


async def test_lost_gossip_is_lost_at_the_rate_given(autojump_clock: MockClock) -> None:
    async with open_pair(MemoryNetwork(1, profile=LinkProfile(gossip_loss=0.25))) as (one, other):
        for n in range(800):
            await one.publish(b"%d" % n)
            await trio.sleep(0.1)
        await settle()
        assert 540 <= len(drain(other)) <= 660


async def test_lost_request_fails_after_the_delay_and_not_for_ever(autojump_clock: MockClock) -> None:
    profile = LinkProfile(request_loss=1.0, loss_delay_s=7.0)
    async with open_pair(MemoryNetwork(1, profile=profile)) as (one, _):
        start = trio.current_time()
        with pytest.raises(TransportError, match="lost"):
            await one.request(IDS[1], "echo/1", b"x")
        assert trio.current_time() - start == pytest.approx(7.0, abs=0.1)


async def test_lost_response_fails_the_request_although_the_server_has_acted(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1)
    async with open_pair(network) as (one, other):
        acted = []

        async def act(peer: PeerId, data: bytes) -> bytes:
            acted.append(data)
            return b"done"

        other.handle("act/1", act)
        network.set_profile(IDS[1], IDS[0], LinkProfile(request_loss=1.0))
        with pytest.raises(TransportError, match="lost"):
            await one.request(IDS[1], "act/1", b"x")
        assert acted == [b"x"]


async def test_duplication_hands_gossip_over_twice(autojump_clock: MockClock) -> None:
    async with open_pair(MemoryNetwork(1, profile=LinkProfile(duplication=1.0))) as (one, other):
        await one.publish(b"x")
        await settle()
        assert drain(other) == [b"x", b"x"]


async def test_profile_of_all_links_can_change_while_running(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1)
    async with open_pair(network) as (one, other):
        network.change_profile(gossip_loss=1.0)
        await one.publish(b"lost")
        await settle()
        network.change_profile(gossip_loss=0.0)
        await one.publish(b"heard")
        await settle()
        assert drain(other) == [b"heard"]


# Partitions, blocks, crashes.


async def test_partition_breaks_connections_after_the_detection_delay_and_dials_time_out(
    autojump_clock: MockClock,
) -> None:
    network = MemoryNetwork(1, detection_s=4.0, dial_timeout_s=6.0)
    async with open_pair(network) as (one, other):
        network.partition([IDS[0]], [IDS[1]])
        start = trio.current_time()
        await one.publish(b"into the void")
        for transport, peer in ((one, IDS[1]), (other, IDS[0])):
            assert await transport.events.receive() == PeerDisconnected(peer=peer, cause="no answer to pings")
        assert trio.current_time() - start == pytest.approx(4.0, abs=0.02)
        start = trio.current_time()
        with pytest.raises(TransportError, match="timed out"):
            await one.connect("/memory/1")
        assert trio.current_time() - start == pytest.approx(6.0, abs=0.02)
        network.heal()
        assert await one.connect("/memory/1") == IDS[1]
        await settle()
        assert drain(other) == []


async def test_partition_shorter_than_the_detection_delay_costs_messages_and_no_connection(
    autojump_clock: MockClock,
) -> None:
    network = MemoryNetwork(1, detection_s=4.0)
    async with open_pair(network) as (one, other):
        for _ in range(3):  # each cut is judged by itself
            network.partition([IDS[0]])
            await one.publish(b"lost")
            await trio.sleep(3.0)
            network.heal()
            await trio.sleep(0.5)
        await one.publish(b"heard")
        await settle()
        assert drain(other) == [b"heard"]
        assert one.connected_peers() == {IDS[1]}


async def test_request_across_a_partition_fails_with_the_connection(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1, detection_s=4.0)
    async with open_pair(network) as (one, _):
        network.partition([IDS[0]])
        with pytest.raises(TransportError):
            await one.request(IDS[1], "echo/1", b"x")
        assert not one.connected_peers()


async def test_unnamed_peers_share_one_side_of_a_partition(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1)
    async with open_peer(network, 0) as zero, open_peer(network, 1), open_peer(network, 2) as two:
        network.partition([IDS[0]])
        assert await two.connect("/memory/1") == IDS[1]
        with pytest.raises(TransportError):
            await zero.connect("/memory/1")


async def test_block_swallows_one_direction_only(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1, detection_s=4.0)
    async with open_pair(network) as (one, other):
        network.block(IDS[0], IDS[1])
        await one.publish(b"swallowed")
        await other.publish(b"heard")
        await trio.sleep(1.0)
        assert (drain(one), drain(other)) == ([b"heard"], [])
        await settle()  # pings need both directions
        assert not one.connected_peers()
        assert not other.connected_peers()
        network.unblock(IDS[0], IDS[1])
        assert await one.connect("/memory/1") == IDS[1]


@pytest.mark.parametrize(("silent", "delay"), [(False, 0.3), (True, 3.2)])
async def test_crash_ends_the_peer_on_the_spot_and_is_noticed_later(
    autojump_clock: MockClock,
    *,
    silent: bool,
    delay: float,
    nursery: trio.Nursery,
) -> None:
    network = MemoryNetwork(1)
    ended_at: list[float] = []

    async def live() -> None:
        async with open_peer(network, 1) as doomed:
            doomed.handle("echo/1", echo)
            await trio.sleep_forever()
        ended_at.append(trio.current_time())

    async with open_peer(network, 0) as one:
        nursery.start_soon(live)
        await trio.sleep(1)
        await one.connect("/memory/1")
        await one.events.receive()
        crashed_at = trio.current_time()
        network.crash(IDS[1], silent=silent)
        await trio.testing.wait_all_tasks_blocked()
        assert ended_at == [crashed_at]
        assert one.connected_peers() == {IDS[1]}
        event = await one.events.receive()
        assert event == PeerDisconnected(peer=IDS[1], cause="connection reset")
        assert trio.current_time() - crashed_at == pytest.approx(delay, abs=0.02)
        with pytest.raises(ValueError, match="no attached peer"):
            network.crash(IDS[1])


async def test_goodbye_is_lost_where_messages_are(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1, detection_s=4.0)
    async with open_peer(network, 0) as one:
        async with open_peer(network, 1):
            await one.connect("/memory/1")
            await one.events.receive()
            network.block(IDS[1], IDS[0])
            begun = trio.current_time()
        assert await one.events.receive() == PeerDisconnected(peer=IDS[1], cause="no answer to pings")
        assert trio.current_time() - begun == pytest.approx(4.0, abs=0.02)


async def test_crash_takes_along_what_was_under_way_in_both_directions(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = MemoryNetwork(1, profile=ONE_SECOND)
    served = []

    async def live() -> None:
        async with open_peer(network, 1) as doomed:

            async def slow(peer: PeerId, data: bytes) -> bytes:
                await trio.sleep(5)
                served.append(data)
                return data

            doomed.handle("slow/1", slow)
            await doomed.publish(b"nobody is connected yet")
            await trio.sleep_forever()

    async with open_peer(network, 0) as one:
        nursery.start_soon(live)
        await trio.sleep(0.1)
        await one.connect("/memory/1")

        async def crash_later() -> None:
            await trio.sleep(3)
            network.crash(IDS[1])

        nursery.start_soon(crash_later)
        with pytest.raises(TransportError, match="connection reset"):
            await one.request(IDS[1], "slow/1", b"x")
        await settle()
        assert served == []


async def test_peer_that_restarts_before_its_death_is_noticed_replaces_its_old_connection(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
) -> None:
    network = MemoryNetwork(1)

    async def live() -> None:
        async with open_peer(network, 1) as doomed:
            doomed.handle("echo/1", echo)
            await trio.sleep_forever()

    async with open_peer(network, 0) as one:
        nursery.start_soon(live)
        await trio.sleep(1)
        await one.connect("/memory/1")
        network.crash(IDS[1], silent=True)
        nursery.start_soon(live)
        await trio.sleep(0.1)
        await one.connect("/memory/1")
        assert [type(one.events.receive_nowait()) for _ in range(3)] == [
            PeerConnected,
            PeerDisconnected,
            PeerConnected,
        ]
        await settle()  # the notice of the old death must not end the new connection
        assert one.connected_peers() == {IDS[1]}
        assert await one.request(IDS[1], "echo/1", b"x") == b"x"
        network.crash(IDS[1])


async def test_two_peers_cannot_share_an_address(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1)
    async with open_peer(network, 0):
        with pytest.raises(TransportError, match="in use"):
            async with open_memory_transport(network, IDS[1], "/memory/0"):
                raise AssertionError("attached twice")


@pytest.mark.parametrize("address", ["", "/memory/", "/ip4/127.0.0.1/tcp/1"])
async def test_malformed_own_address_is_the_callers_mistake(autojump_clock: MockClock, address: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        async with open_memory_transport(MemoryNetwork(1), IDS[0], address):
            raise AssertionError("attached nowhere")


async def test_the_network_goes_on_when_the_eldest_peer_leaves(autojump_clock: MockClock) -> None:
    """One peer's task works for all; another must take over."""
    network = MemoryNetwork(1)
    async with open_peer(network, 1) as one, open_peer(network, 2) as two:
        one.handle("echo/1", echo)
        await two.connect("/memory/1")
        for number in (3, 4, 5):
            async with open_peer(network, number) as guest:
                await guest.connect("/memory/1")
        assert await two.request(IDS[1], "echo/1", b"x") == b"x"
    network = MemoryNetwork(2)
    release = trio.Event()

    async def eldest() -> None:
        async with open_peer(network, 0):
            await release.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(eldest)
        await trio.sleep(1)
        async with open_peer(network, 1) as one, open_peer(network, 2) as two:
            one.handle("echo/1", echo)
            await two.connect("/memory/1")
            release.set()
            await trio.sleep(1)
            assert await two.request(IDS[1], "echo/1", b"x") == b"x"


async def test_forwarded_gossip_reaches_peers_that_are_not_neighbours_once(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1, gossip_degree=3)
    async with open_peer(network, 0) as a, open_peer(network, 1) as b, open_peer(network, 2) as c:
        await a.connect("/memory/1")
        await b.connect("/memory/2")
        await a.publish(b"along the chain")
        await settle()
        assert drain(b) == drain(c) == [b"along the chain"]
        assert drain(a) == []


async def test_direct_gossip_reaches_neighbours_only(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1)
    async with open_peer(network, 0) as a, open_peer(network, 1) as b, open_peer(network, 2) as c:
        await a.connect("/memory/1")
        await b.connect("/memory/2")
        await a.publish(b"one hop")
        await settle()
        assert (drain(b), drain(c)) == ([b"one hop"], [])
