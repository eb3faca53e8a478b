"""Gossip, and the counters of all that passes."""

import pytest
import trio
from trio.testing import MockClock

from peer.network.transport import MAX_GOSSIP_BYTES, GossipMessage, Transport
from tests.contract.transport.peers import PATIENCE_S, Peers, address_of, connected_pair, echo, peer_id, until


class Listener:
    """Keeps what one peer receives."""

    def __init__(self, transport: Transport, nursery: trio.Nursery) -> None:
        self.transport = transport
        self.received: list[GossipMessage] = []
        nursery.start_soon(self._listen)

    async def _listen(self) -> None:
        async for message in self.transport.gossip:
            self.received.append(message)

    def count(self, data: bytes) -> int:
        return sum(message.data == data for message in self.received)


async def publish_until_heard(speaker: Transport, listeners: list[Listener], mark: bytes) -> None:
    """Publish until every listener has heard something of this mark: a mesh takes a moment to form."""
    with trio.fail_after(PATIENCE_S):
        attempt = 0
        while not all(any(m.data.startswith(mark) for m in listener.received) for listener in listeners):
            await speaker.publish(mark + b" %d" % attempt)
            attempt += 1
            await trio.sleep(0.1)


async def start_mesh(peers: Peers, nursery: trio.Nursery, count: int) -> tuple[list[Transport], list[Listener]]:
    """Start peers in which each is connected to each, and return when gossip flows from each to each."""
    transports = [await peers.start(number) for number in range(1, count + 1)]
    listeners = [Listener(transport, nursery) for transport in transports]
    for index, transport in enumerate(transports):
        for other in transports[:index]:
            await transport.connect(address_of(other))
    for index, transport in enumerate(transports):
        others = listeners[:index] + listeners[index + 1 :]
        await publish_until_heard(transport, others, b"warm-up of %d" % index)
    return transports, listeners


async def test_gossip_reaches_every_other_peer_exactly_once(
    clock: MockClock, peers: Peers, nursery: trio.Nursery
) -> None:
    transports, listeners = await start_mesh(peers, nursery, 4)
    marks = [b"from %d: %d" % (speaker, n) for speaker in range(4) for n in range(5)]
    for n, mark in enumerate(marks):
        await transports[n // 5].publish(mark)
    await until(
        lambda: all(
            listener.count(mark) >= 1
            for index, listener in enumerate(listeners)
            for n, mark in enumerate(marks)
            if n // 5 != index
        )
    )
    for index, transport in enumerate(transports):  # what was still under way overtakes nothing later
        await publish_until_heard(transport, listeners[:index] + listeners[index + 1 :], b"flush of %d" % index)
    for index, listener in enumerate(listeners):
        for n, mark in enumerate(marks):
            assert listener.count(mark) == (0 if n // 5 == index else 1), (index, mark)
        assert {message.forwarder for message in listener.received} <= listener.transport.connected_peers()


async def test_gossip_of_the_largest_size_arrives_and_above_it_is_refused(
    clock: MockClock, peers: Peers, nursery: trio.Nursery
) -> None:
    (one, _), (_, hearer) = await start_mesh(peers, nursery, 2)
    largest = b"x" * MAX_GOSSIP_BYTES
    await one.publish(largest)
    await until(lambda: hearer.count(largest) == 1)
    with pytest.raises(ValueError, match="bounded"):
        await one.publish(largest + b"x")


async def test_gossip_without_listeners_is_no_error(clock: MockClock, peers: Peers) -> None:
    one = await peers.start(1)
    await one.publish(b"anybody?")


async def test_gossip_burst_of_a_round_arrives_whole(clock: MockClock, peers: Peers, nursery: trio.Nursery) -> None:
    transports, listeners = await start_mesh(peers, nursery, 3)
    burst = [b"burst %d" % n for n in range(60)]
    for message in burst:
        await transports[0].publish(message)
    await until(lambda: all(listener.count(message) for listener in listeners[1:] for message in burst))


async def test_full_gossip_queue_drops_the_newest_and_counts_it(clock: MockClock, peers: Peers) -> None:
    one, other = await peers.start(1), await peers.start(2, gossip_queue=3)
    await one.connect(address_of(other))
    sent = 0
    with trio.fail_after(PATIENCE_S):
        while other.counters()["gossip_dropped"] < 2:
            await one.publish(b"%d" % sent)
            sent += 1
            await trio.sleep(0.02)
    kept = {int(other.gossip.receive_nowait().data) for _ in range(3)}
    assert len(kept) == 3  # in any order: gossip has none
    assert sent - 1 not in kept  # the dropped ones were younger
    with pytest.raises(trio.WouldBlock):
        other.gossip.receive_nowait()


async def test_gossip_flows_both_ways_after_a_restart_under_the_same_identity(
    clock: MockClock, peers: Peers, nursery: trio.Nursery
) -> None:
    transports, listeners = await start_mesh(peers, nursery, 3)
    for n in range(50):  # more than one a second: an old life's sequence numbers must not mute the new one
        await transports[2].publish(b"old life %d" % n)
    await until(lambda: all(listener.count(b"old life 49") for listener in listeners[:2]))
    await peers.stop(3)
    await until(lambda: all(peer_id(3) not in transport.connected_peers() for transport in transports[:2]))
    reborn = await peers.start(3)
    hearer = Listener(reborn, nursery)
    for transport in transports[:2]:
        await transport.connect(address_of(reborn))
    for n in range(5):
        await publish_until_heard(reborn, listeners[:2], b"new life %d" % n)
        await publish_until_heard(transports[0], [hearer], b"welcome %d" % n)
        await publish_until_heard(transports[1], [hearer], b"greetings %d" % n)


async def test_counters_name_all_that_the_contract_lists(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    other.handle("echo/1", echo)
    await one.request(peer_id(2), "echo/1", b"x" * 1000)
    for transport in (one, other):
        counters = transport.counters()
        assert set(counters) == {
            "bytes_sent",
            "bytes_received",
            "gossip_dropped",
            "gossip_interrupted",
            "handler_errors",
            "protocol_errors",
            "dials_failed",
            "frames_refused",
            "floods_refused",
            "flooders_banned",
        }
        assert counters["bytes_sent"] >= 1000
        assert counters["bytes_received"] >= 1000
