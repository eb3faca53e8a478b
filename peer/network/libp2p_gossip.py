"""GossipSub of py-libp2p 0.8.1, fenced in: bounded messages, unique sequence numbers, no silent default
limits."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from libp2p.abc import IHost, INetStream
from libp2p.exceptions import ValidationError
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, PROTOCOL_ID_V12, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service

from peer.network.gate import Gate
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.transport import MAX_GOSSIP_BYTES
from peer.types import PeerId

DEGREE, DEGREE_LOW, DEGREE_HIGH = 6, 4, 12
OUTBOUND_QUEUE = 512
"""Messages waiting for one neighbour; py-libp2p's 32 drops half of a round's burst without a word."""

Deliver = Callable[[PeerId, bytes], None]
Admits = Callable[[PeerId, int], bool]
"""Asked of every message that a neighbour hands over, with its size; it counts what it refuses."""


class FencedPubsub(Pubsub):
    """Pubsub that delivers by a callback, and in which no message of another peer can end the service."""

    topic: str
    deliver: Deliver
    admits: Admits
    counters: dict[str, int]
    gate: Gate

    def is_open_to(self, peer: ID) -> bool:
        return peer == self.my_id or self.gate.is_open_to(PeerId(peer.to_base58()))

    def admitted(self, peer: PeerId) -> None:
        """Open our stream to a peer that was connected before it was admitted."""
        self._schedule_peer_stream_retry(ID.from_base58(peer))

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        if not self.is_open_to(msg_forwarder):
            self.counters["gossip_dropped"] += 1  # before it is marked as seen: another may bring the same message
            return
        if msg_forwarder != self.my_id and not self.admits(PeerId(msg_forwarder.to_base58()), len(msg.data)):
            return  # before its signature is checked, which is what a flood would cost most
        try:
            await super().push_msg(msg_forwarder, msg)
        except Exception:  # parsing another peer's id, key or signature raises a dozen unrelated types
            if msg_forwarder == self.my_id:
                raise
            self.counters["protocol_errors"] += 1

    async def validate_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Refuse what no peer of ours sends, then deliver.

        Called once a message, after its signature has been checked, with no checkpoint between the test for
        having seen it and the note that it was seen; it is also the only hook that knows the forwarder.
        """
        if msg_forwarder == self.my_id:
            return
        if len(msg.data) > MAX_GOSSIP_BYTES or list(msg.topicIDs) != [self.topic]:
            self.counters["frames_refused"] += 1
            raise ValidationError("refused: too large, or of another topic")
        if msg.from_id != self.my_id.to_bytes():
            self.deliver(PeerId(msg_forwarder.to_base58()), msg.data)

    def notify_subscriptions(self, publish_message: rpc_pb2.Message) -> None:
        """Do nothing: `validate_msg` has delivered, and nobody reads the subscription's own queue."""

    async def write_msg(self, stream: INetStream, rpc_msg: rpc_pb2.RPC) -> bool:
        """Say nothing on a stream that was opened before it was known that its peer may not take part."""
        if not self.is_open_to(stream.muxed_conn.peer_id):
            return True
        return bool(await super().write_msg(stream, rpc_msg))

    async def _handle_new_peer(self, peer_id: ID) -> None:
        if not self.is_open_to(peer_id):
            return  # `admitted` comes back to it: without our stream it is sent nothing
        await super()._handle_new_peer(peer_id)
        queue = self.peer_queues.get(peer_id)
        if queue is not None:
            queue._queue.max_size = OUTBOUND_QUEUE


class FencedGossipSub(GossipSub):
    """A router that takes no orders (graft, prune, iwant, ihave) of peers that are not admitted.

    Their subscriptions are noted all the same: they come once, often before this peer has made up its mind.
    """

    async def handle_rpc(self, rpc: rpc_pb2.RPC, sender_peer_id: ID) -> None:
        if isinstance(self.pubsub, FencedPubsub) and self.pubsub.is_open_to(sender_peer_id):
            await super().handle_rpc(rpc, sender_peer_id)


@asynccontextmanager
async def open_gossip(
    host: IHost,
    settings: Libp2pSettings,
    *,
    deliver: Deliver,
    admits: Admits,
    counters: dict[str, int],
    gate: Gate,
) -> AsyncIterator[FencedPubsub]:
    """Run GossipSub on the run's topic. `host` must be running, and its guard in place."""
    router = FencedGossipSub(
        protocols=[PROTOCOL_ID_V12, PROTOCOL_ID_V11],
        degree=DEGREE,
        degree_low=DEGREE_LOW,
        degree_high=DEGREE_HIGH,
        heartbeat_interval=settings.heartbeat_s,
        max_messages_per_topic_per_second=4 * settings.gossip_rate,  # `admits` is stricter, and counts
        adaptive_gossip_enabled=False,  # it moves the degrees by a guess of network health
        eclipse_protection_enabled=False,  # it wants 3 different addresses: one machine or one NAT has one
    )
    pubsub = FencedPubsub(host, router, strict_signing=True, max_inbound_rpc_size=4 * MAX_GOSSIP_BYTES)
    pubsub.topic = topic_of(settings.run_id)
    pubsub.deliver = deliver
    pubsub.admits = admits
    pubsub.counters = counters
    pubsub.gate = gate
    # py-libp2p counts from the wall clock in seconds: a peer that published faster than that and restarts would
    # reuse numbers that its neighbours remember, and stay mute until it has passed them.
    pubsub.counter = secrets.randbits(62)
    async with AsyncExitStack() as stack:  # strictly last in, first out: else trio's cancel scopes get mixed up
        await stack.enter_async_context(background_trio_service(router))
        await stack.enter_async_context(background_trio_service(pubsub))
        await pubsub.wait_until_ready()
        await pubsub.subscribe(pubsub.topic)
        yield pubsub


def topic_of(run_id: str) -> str:
    return f"murmur/{run_id}"
