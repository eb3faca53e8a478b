"""Admission: who is not admitted is served nothing but the handshake."""

import pytest
import trio
from trio.testing import MockClock

from peer.errors import TransportError
from peer.network.transport import Content, Transport
from tests.contract.transport.peers import PATIENCE_S, Peers, Shelf, address_of, connected_pair, echo, peer_id


async def strangers_pair(peers: Peers) -> tuple[Transport, Transport]:
    """Return two connected peers of which the first has admitted nobody; both answer `echo/1`, and `card/1` to all."""
    one, other = await connected_pair(peers)
    for transport in (one, other):
        transport.handle("echo/1", echo)
        transport.handle("card/1", echo, strangers=True)
    await trio.sleep(0.5)  # whatever a connection opens by itself is open, before the first has admitted nobody
    one.admit(frozenset())
    return one, other


async def test_a_peer_that_is_not_admitted_is_served_nothing_but_the_handshake(clock: MockClock, peers: Peers) -> None:
    one, other = await strangers_pair(peers)
    assert await other.request(peer_id(1), "card/1", b"who?") == peer_id(2).encode() + b":who?"
    with pytest.raises(TransportError):
        await other.request(peer_id(1), "echo/1", b"what?")
    assert one.counters()["protocol_errors"] == 1
    one.handle_download("shelf/1", Shelf(b"secret").serve)
    taken: list[Content] = []
    with pytest.raises(TransportError):
        await other.download(peer_id(1), "shelf/1", b"", max_bytes=100, take=taken.append)
    assert not taken


async def test_a_request_that_comes_before_admission_is_answered_after_it(clock: MockClock, peers: Peers) -> None:
    one, other = await strangers_pair(peers)
    answers: list[bytes] = []

    async def ask() -> None:
        answers.append(await other.request(peer_id(1), "echo/1", b"early"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(0.3)
        assert not answers
        one.admit(frozenset({peer_id(2)}))
    assert answers == [peer_id(2).encode() + b":early"]


async def test_gossip_passes_in_neither_direction_before_admission_and_in_both_after(
    clock: MockClock, peers: Peers
) -> None:
    one, other = await strangers_pair(peers)

    async def publish_for(seconds: float) -> None:
        for _ in range(int(seconds / 0.2)):
            await one.publish(b"ours")
            await other.publish(b"theirs")
            await trio.sleep(0.2)

    await publish_for(3.0)
    assert heard(one) == heard(other) == set()
    one.admit(frozenset({peer_id(2)}))
    both: dict[int, set[bytes]] = {1: set(), 2: set()}
    with trio.fail_after(PATIENCE_S):
        while both != {1: {b"theirs"}, 2: {b"ours"}}:
            await publish_for(0.4)
            both[1] |= heard(one)
            both[2] |= heard(other)


async def test_gossip_that_a_stranger_brought_in_vain_is_taken_from_another(clock: MockClock, peers: Peers) -> None:
    """It must not count as seen: whoever is admitted may bring the same message."""
    one, other = await strangers_pair(peers)
    third = await peers.start(3)
    await third.connect(address_of(other))
    one.admit(frozenset({peer_id(3)}))
    await one.connect(address_of(third))
    with trio.fail_after(PATIENCE_S):
        while b"from-3" not in heard(one):
            await third.publish(b"from-3")
            await trio.sleep(0.2)


async def test_a_peer_that_is_admitted_no_longer_is_served_no_longer(clock: MockClock, peers: Peers) -> None:
    one, other = await strangers_pair(peers)
    one.admit(frozenset({peer_id(2)}))
    assert await other.request(peer_id(1), "echo/1", b"hi") == peer_id(2).encode() + b":hi"
    one.admit(frozenset())
    with pytest.raises(TransportError):
        await other.request(peer_id(1), "echo/1", b"hi")


def heard(transport: Transport) -> set[bytes]:
    """Return what has come by gossip since the last look."""
    messages: set[bytes] = set()
    try:
        while True:
            messages.add(transport.gossip.receive_nowait().data)
    except trio.WouldBlock:
        return messages
