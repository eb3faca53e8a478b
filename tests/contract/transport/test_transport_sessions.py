"""Several processes of one identity."""

import pytest
from trio.testing import MockClock

from peer.errors import IdentityInUseError, TransportError
from peer.network.transport import PeerConnected, PeerDisconnected, RequestHandler
from peer.types import PeerId
from tests.contract.transport.peers import TWIN, Peers, address_of, echo, peer_id, pending_events, until, with_twins


async def test_sessions_of_a_peer_are_those_of_the_processes_behind_its_connections(
    clock: MockClock, peers: Peers
) -> None:
    one, older, newer = await with_twins(peers)
    assert older.session != newer.session
    assert one.sessions_of(peer_id(2)) == {older.session, newer.session}
    assert older.sessions_of(peer_id(1)) == newer.sessions_of(peer_id(1)) == {one.session}
    assert one.sessions_of(peer_id(9)) == frozenset()
    assert [event for event in pending_events(one) if isinstance(event, PeerConnected)] == [
        PeerConnected(peer=peer_id(2))
    ]


async def test_a_request_for_a_session_reaches_that_process_alone(clock: MockClock, peers: Peers) -> None:
    one, older, newer = await with_twins(peers)

    def named(name: bytes) -> RequestHandler:
        async def answer(_peer: PeerId, _data: bytes) -> bytes:
            return name

        return answer

    older.handle("name/1", named(b"older"))
    newer.handle("name/1", named(b"newer"))
    for transport, name in ((older, b"older"), (newer, b"newer"), (older, b"older")):
        assert await one.request(peer_id(2), "name/1", b"", session=transport.session) == name
    with pytest.raises(TransportError, match="not connected"):
        await one.request(peer_id(2), "name/1", b"", session=one.session)


@pytest.mark.parametrize("keeps", ["older", "newer"])
async def test_keeping_a_session_closes_the_others_and_leaves_the_peer_connected(
    clock: MockClock, peers: Peers, keeps: str
) -> None:
    one, older, newer = await with_twins(peers)
    kept, parted = (newer, older) if keeps == "newer" else (older, newer)
    kept.handle("echo/1", echo)
    one.keep_session(peer_id(2), kept.session)
    assert one.sessions_of(peer_id(2)) == {kept.session}
    await until(lambda: not parted.connected_peers())
    assert await one.request(peer_id(2), "echo/1", b"hi") == peer_id(1).encode() + b":hi"
    assert one.connected_peers() == {peer_id(2)}
    assert not [event for event in pending_events(one) if isinstance(event, PeerDisconnected)]
    one.keep_session(peer_id(2), parted.session)  # which is not connected any more
    assert one.sessions_of(peer_id(2)) == {kept.session}


async def test_dialling_another_process_of_the_own_identity_is_told_from_dialling_oneself(
    clock: MockClock, peers: Peers
) -> None:
    one, twin = await peers.start(1), await peers.start(1 + TWIN)
    with pytest.raises(IdentityInUseError, match="our own identity"):
        await one.connect(address_of(twin))
    assert not one.connected_peers()
    assert not twin.connected_peers()
