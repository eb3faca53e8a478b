"""A member of the network that is no peer: it speaks no protocol, but may be told to say anything."""

import itertools
import random
from contextlib import AbstractAsyncContextManager, suppress

import msgspec
import trio

from peer.config.digest import digest
from peer.errors import TransportError
from peer.network.identity import Identity
from peer.network.memory_transport import MemoryTransport, open_memory_transport
from peer.network.transport import RequestHandler
from peer.round_parts import wire_run_id
from peer.types import PeerId
from peer.wire.envelope import seal
from peer.wire.messages import Announcement, PeerCard
from peer.wire.sync import BLOB_PROTOCOL, CARD_PROTOCOL, SYNC_PROTOCOL
from tests.swarm.node_swarm import NodeSwarm

PROTOCOLS = (CARD_PROTOCOL, SYNC_PROTOCOL, BLOB_PROTOCOL)


class Stranger:
    """A member of the network without manners: it speaks no protocol, but may be told to say anything."""

    def __init__(self, swarm: NodeSwarm, number: int = 90) -> None:
        self.swarm = swarm
        self.identity = Identity.for_tests(number)
        self.address = f"/memory/stranger-{number}"

    def open(self) -> AbstractAsyncContextManager[MemoryTransport]:
        identity = self.identity
        return open_memory_transport(self.swarm.network, identity.peer_id, self.address, session=identity.session)

    async def meet_all(self, transport: MemoryTransport) -> None:
        for node in self.swarm.nodes:
            try:
                await transport.connect(node.address)
            except TransportError:
                continue


def card_of(swarm: NodeSwarm, stranger: Stranger, *, version: int | None = None) -> bytes:
    """Return a card that fits the swarm's, but for the protocol version if one is given."""
    node = swarm.nodes[0]
    schema = node.agent_type(seed=1, local_seed=1, num_params=node.num_params).schema.digest
    card = PeerCard(boot=1, name="stranger", addresses=(), config=digest(node.config), schema=schema)
    data = seal(card, stranger.identity, run=wire_run_id(node.config)).data
    if version is None:
        return data
    return msgspec.msgpack.encode([version, *msgspec.msgpack.decode(data)[1:]])


def answering(data: bytes) -> RequestHandler:
    async def answer(_peer: PeerId, _data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return data

    return answer


async def ask(transport: MemoryTransport, peer: PeerId, protocol: str, data: bytes) -> None:
    """Ask for whatever the protocol gives, blobs by a download. Raises: TransportError when it is refused."""
    if protocol == BLOB_PROTOCOL:
        await transport.download(peer, protocol, data, max_bytes=1, take=len)
    else:
        await transport.request(peer, protocol, data)


async def flood(transport: MemoryTransport, *, for_s: float) -> None:
    """Gossip and ask for nonsense of every kind and size for a while."""
    kinds = [b"", b"\x93", garbage(1, 60_000), msgspec.msgpack.encode(Announcement(garbage(2, 400), None)), b"\xc1"]
    kinds += [msgspec.msgpack.encode([b"x" * 100, b"y" * 20_000, 3]), b"\x91" * 5_000]
    with trio.move_on_after(for_s):
        for number in itertools.count(1):
            await transport.publish(kinds[number % len(kinds)])
            for peer, protocol in itertools.product(sorted(transport.connected_peers()), PROTOCOLS):
                with trio.move_on_after(0.2), suppress(TransportError):
                    await ask(transport, peer, protocol, kinds[(number + 3) % len(kinds)])
            await trio.sleep(0.05)


def garbage(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)
