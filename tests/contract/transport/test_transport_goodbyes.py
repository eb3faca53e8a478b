"""A transport that is left in order says goodbye, and nothing else is taken for one."""

import trio
from trio.testing import MockClock

from peer.network.transport import NO_GOODBYE, STOPPED, PeerConnected, PeerDisconnected, Transport
from tests.contract.transport.peers import (
    TWIN,
    Peers,
    address_of,
    connected_from_both_sides,
    connected_pair,
    echo,
    next_event,
    peer_id,
    pending_events,
    until,
    with_twins,
)


async def next_end(transport: Transport) -> PeerDisconnected:
    """Return the next end of a peer's last connection."""
    while True:
        event = await next_event(transport)
        if isinstance(event, PeerDisconnected):
            return event


async def test_who_stops_is_known_to_have_stopped_by_all(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    third = await peers.start(3)
    await third.connect(address_of(other))
    await peers.stop(2)
    for transport in (one, third):
        assert await next_end(transport) == PeerDisconnected(peer=peer_id(2), cause=STOPPED, stopped=True)
        assert not transport.connected_peers()


async def test_who_stops_while_two_connections_lead_to_it_is_known_to_have_stopped(
    clock: MockClock, peers: Peers
) -> None:
    one, _ = await connected_from_both_sides(peers)
    await peers.stop(2)
    assert (await next_end(one)).stopped
    assert not pending_events(one)


async def test_who_ends_by_an_error_has_not_stopped(clock: MockClock, peers: Peers) -> None:
    one, _ = await connected_pair(peers)
    await peers.fail(2)
    assert await next_end(one) == PeerDisconnected(peer=peer_id(2), cause=NO_GOODBYE)


async def test_who_parts_from_one_peer_has_not_stopped(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    await one.disconnect(peer_id(2))
    assert await next_end(other) == PeerDisconnected(peer=peer_id(1), cause=NO_GOODBYE)
    assert not (await next_end(one)).stopped


async def test_who_keeps_to_another_process_of_an_identity_has_not_stopped(clock: MockClock, peers: Peers) -> None:
    one, older, newer = await with_twins(peers)
    one.keep_session(peer_id(2), newer.session)
    assert await next_end(older) == PeerDisconnected(peer=peer_id(1), cause=NO_GOODBYE)


async def test_goodbye_of_one_process_is_not_that_of_another_with_its_identity(clock: MockClock, peers: Peers) -> None:
    one, _, newer = await with_twins(peers)
    await peers.stop(2)
    await until(lambda: one.sessions_of(peer_id(2)) == {newer.session})
    assert not [event for event in pending_events(one) if isinstance(event, PeerDisconnected)]
    await peers.fail(2 + TWIN)
    assert await next_end(one) == PeerDisconnected(peer=peer_id(2), cause=NO_GOODBYE)


async def test_who_said_goodbye_is_as_welcome_as_before(clock: MockClock, peers: Peers) -> None:
    one, _ = await connected_pair(peers)
    await peers.stop(2)
    assert (await next_end(one)).stopped
    reborn = await peers.start(2)
    reborn.handle("echo/1", echo)
    assert await one.connect(address_of(reborn)) == peer_id(2)
    assert await next_event(one) == PeerConnected(peer=peer_id(2))
    assert await one.request(peer_id(2), "echo/1", b"hi") == peer_id(1).encode() + b":hi"
    await peers.fail(2)
    assert not (await next_end(one)).stopped


async def test_two_who_stop_at_once_do_not_wait_for_each_other(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peers.stop, 1)
        nursery.start_soon(peers.stop, 2)
    assert not one.connected_peers()
    assert not other.connected_peers()
