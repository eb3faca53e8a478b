"""A host that does nothing of its own accord: it dials nobody, and asks nobody who they are."""

import pytest
import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from peer.types import PeerId
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
        with trio.fail_after(PATIENCE_S), pytest.raises(SwarmException, match="not connected"):
            await swarm.new_stream(target)
        assert not other.connected_peers()


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


class _Spawned(trio.abc.Instrument):
    def __init__(self) -> None:
        self.names: list[str] = []

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.names.append(task.name)


async def test_a_request_starts_no_task_to_tell_of_its_stream() -> None:
    async def answer(_: PeerId, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return data

    async with open_peer(1) as one, open_peer(2) as other:
        other.handle("/echo/1", answer, strangers=True)
        await one.connect(other.listen_addresses[0])
        spawned = _Spawned()
        trio.lowlevel.add_instrument(spawned)
        try:
            assert await one.request(other.local_peer, "/echo/1", b"there and back") == b"there and back"
        finally:
            trio.lowlevel.remove_instrument(spawned)
        assert any("_serve" in name for name in spawned.names)  # the one that serves it is seen
        assert not [name for name in spawned.names if "_notify" in name]


@pytest.mark.parametrize("protocol", [IDENTIFY, "/ipfs/id/push/1.0.0"])
async def test_identify_is_not_served(protocol: str) -> None:
    async with open_peer(1) as victim, open_attacker(2) as attacker:
        await attacker.connect(victim.listen_addresses[0])
        assert await refuses_stream(attacker, victim.local_peer, protocol)
        await assert_serves(victim)
