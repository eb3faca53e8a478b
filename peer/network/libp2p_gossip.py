"""GossipSub of py-libp2p 0.8.1, fenced in: bounded messages, unique sequence numbers, no silent default
limits."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from libp2p.abc import IHost
from libp2p.exceptions import ValidationError
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, PROTOCOL_ID_V12, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service

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

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
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

    async def _handle_new_peer(self, peer_id: ID) -> None:
        await super()._handle_new_peer(peer_id)
        queue = self.peer_queues.get(peer_id)
        if queue is not None:
            queue._queue.max_size = OUTBOUND_QUEUE


@asynccontextmanager
async def open_gossip(
    host: IHost, settings: Libp2pSettings, *, deliver: Deliver, admits: Admits, counters: dict[str, int]
) -> AsyncIterator[FencedPubsub]:
    """Run GossipSub on the run's topic. `host` must be running, and its guard in place."""
    router = GossipSub(
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
