"""Connections: who is told of what when they are made, end, and are refused."""

from functools import partial

import pytest
from trio.testing import MockClock

from peer.errors import TransportError
from peer.network.transport import PeerConnected, PeerDisconnected
from tests.contract.transport.peers import (
    Peers,
    address_of,
    connected_from_both_sides,
    connected_pair,
    echo,
    next_event,
    peer_id,
    pending_events,
    until,
)


async def test_connect_tells_both_sides_who_the_other_is(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    assert one.connected_peers() == {peer_id(2)}
    assert other.connected_peers() == {peer_id(1)}
    assert await next_event(one) == PeerConnected(peer=peer_id(2))
    assert await next_event(other) == PeerConnected(peer=peer_id(1))


async def test_connect_with_the_right_id_in_the_address_succeeds(clock: MockClock, peers: Peers) -> None:
    one, other = await peers.start(1), await peers.start(2)
    assert await one.connect(f"{address_of(other)}/p2p/{peer_id(2)}") == peer_id(2)


async def test_connect_with_another_id_in_the_address_fails_and_leaves_no_connection(
    clock: MockClock, peers: Peers
) -> None:
    one, other = await peers.start(1), await peers.start(2)
    with pytest.raises(TransportError, match="identity differs"):
        await one.connect(f"{address_of(other)}/p2p/{peer_id(3)}")
    assert not one.connected_peers()
    assert one.counters()["dials_failed"] == 1
    assert await one.connect(address_of(other)) == peer_id(2)  # a failure blocks nothing


async def test_connect_to_oneself_fails(clock: MockClock, peers: Peers) -> None:
    one = await peers.start(1)
    with pytest.raises(TransportError, match="dialled ourselves"):
        await one.connect(address_of(one))
    assert not one.connected_peers()


async def test_connect_where_nobody_listens_fails_with_the_cause(clock: MockClock, peers: Peers) -> None:
    one = await peers.start(1)
    with pytest.raises(TransportError, match="refused"):
        await one.connect(peers.unused_address())
    assert one.counters()["dials_failed"] == 1


@pytest.mark.parametrize("address", ["", "/", "nonsense", "/ip4/1.2.3/tcp/1", "/ip4/127.0.0.1/tcp/70000", "/memory"])
async def test_connect_to_a_malformed_address_fails_with_a_transport_error(
    clock: MockClock, peers: Peers, address: str
) -> None:
    one = await peers.start(1)
    with pytest.raises(TransportError, match="cannot dial"):
        await one.connect(address)


async def test_connect_twice_makes_one_event(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    assert await one.connect(address_of(other)) == peer_id(2)
    assert pending_events(one) == [PeerConnected(peer=peer_id(2))]
    assert pending_events(other) == [PeerConnected(peer=peer_id(1))]


async def test_connect_from_both_sides_at_once_makes_one_event_and_one_disconnection(
    clock: MockClock, peers: Peers
) -> None:
    one, _ = await connected_from_both_sides(peers)
    assert await next_event(one) == PeerConnected(peer=peer_id(2))
    await peers.stop(2)
    event = await next_event(one)
    assert isinstance(event, PeerDisconnected)
    assert event.peer == peer_id(2)
    assert not pending_events(one)
    assert not one.connected_peers()


async def test_disconnect_is_seen_on_both_sides_with_a_cause(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    await one.disconnect(peer_id(2))
    assert not one.connected_peers()
    await until(lambda: not other.connected_peers())
    for transport, peer in ((one, peer_id(2)), (other, peer_id(1))):
        assert await next_event(transport) == PeerConnected(peer=peer)
        event = await next_event(transport)
        assert isinstance(event, PeerDisconnected)
        assert event.peer == peer
        assert event.cause
    with pytest.raises(TransportError, match="not connected"):
        await one.request(peer_id(2), "echo/1", b"")


async def test_disconnect_from_a_stranger_does_nothing(clock: MockClock, peers: Peers) -> None:
    one, _ = await connected_pair(peers)
    await one.disconnect(peer_id(9))
    assert one.connected_peers() == {peer_id(2)}


async def test_stopped_peer_is_noticed_and_welcome_again_at_a_new_address(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    await next_event(one)
    old_address = address_of(other)
    await peers.stop(2)
    event = await next_event(one)
    assert isinstance(event, PeerDisconnected)
    assert event.cause
    with pytest.raises(TransportError):
        await one.connect(old_address)
    for _ in range(2):  # a second life and a third
        reborn = await peers.start(2)
        reborn.handle("echo/1", echo)
        assert await one.connect(address_of(reborn)) == peer_id(2)
        assert await next_event(one) == PeerConnected(peer=peer_id(2))
        assert await one.request(peer_id(2), "echo/1", b"hi") == peer_id(1).encode() + b":hi"
        await peers.stop(2)
        assert isinstance(await next_event(one), PeerDisconnected)


async def test_closed_transport_refuses_use(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    address = address_of(other)
    await peers.stop(1)
    for use in (
        partial(one.connect, address),
        partial(one.publish, b"late"),
        partial(one.request, peer_id(2), "echo/1", b""),
    ):
        with pytest.raises(TransportError):
            await use()
