"""A host that does nothing of its own accord: it dials nobody, and asks nobody who they are."""

import pytest
import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.exceptions import SwarmException
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from tests.unit.network.loopback import (
    PATIENCE_S,
    assert_serves,
    open_attacker,
    open_peer,
    peer_id,
    refuses_stream,
    until,
)

IDENTIFY = TProtocol("/ipfs/id/1.0.0")


async def test_stream_to_a_peer_that_is_not_connected_dials_nobody() -> None:
    """py-libp2p would dial whatever address it once heard of."""
    async with open_peer(1) as one, open_peer(2) as other:
        swarm = one._requests._host.swarm
        target = ID.from_base58(other.local_peer)
        swarm.peerstore.add_addr(target, Multiaddr(other.listen_addresses[0]), 1000)
        with trio.fail_after(PATIENCE_S), pytest.raises(SwarmException, match="No supported transport"):
            await swarm.new_stream(target)
        assert not other.connected_peers()


async def test_no_number_of_connections_is_kept_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """py-libp2p dials whom it once heard of, up to half of the connections that are allowed."""
    dialled: list[ID] = []

    async def note(_swarm: Swarm, peer: ID) -> None:
        dialled.append(peer)

    monkeypatch.setattr(Swarm, "dial_peer", note)
    async with open_peer(1) as one:
        swarm = one._requests._host.swarm
        swarm.peerstore.add_addr(ID.from_base58(peer_id(2)), Multiaddr("/ip4/192.0.2.7/tcp/4001"), 1000)
        await swarm.auto_connector.maybe_connect()
        assert not dialled


async def test_peers_that_meet_do_not_ask_each_other_to_identify() -> None:
    asked: list[INetStream] = []

    async def note(stream: INetStream) -> None:
        asked.append(stream)

    async with open_peer(1) as one, open_peer(2) as other:
        other._requests._host.set_stream_handler(IDENTIFY, note)
        await one.connect(other.listen_addresses[0])
        await until(lambda: one.connected_peers() == {peer_id(2)})
        await trio.sleep(0.5)  # what a connection begins by itself has begun
        assert not asked


@pytest.mark.parametrize("protocol", [IDENTIFY, "/ipfs/id/push/1.0.0"])
async def test_identify_is_not_served(protocol: str) -> None:
    async with open_peer(1) as victim, open_attacker(2) as attacker:
        await attacker.connect(victim.listen_addresses[0])
        assert await refuses_stream(attacker, victim.local_peer, protocol)
        await assert_serves(victim)
