"""Gossip of one end of a `MemoryNetwork`: what it has seen, and to whom it hands that on."""

from functools import partial
from typing import TYPE_CHECKING

import trio

from peer.network.memory_network import Link
from peer.network.transport import GossipMessage
from peer.types import PeerId

if TYPE_CHECKING:
    from peer.network.memory_end import MemoryEnd

SEEN_MESSAGES = 8192


class MemoryGossip:
    """The messages that come to one end, in `messages`, and go out from it."""

    def __init__(self, end: "MemoryEnd", *, queue: int) -> None:
        self._end = end
        self._network = end.network
        self._peer = end.peer
        self._links = end.links
        self._gate = end.gate
        self._counters = end.counters
        self._seen: dict[int, None] = {}
        self._messages_in, self.messages = trio.open_memory_channel[GossipMessage](queue)

    def publish(self, data: bytes) -> None:
        number = self._network.next_number()
        self._remember(number)
        self._forward(number, data, exclude=None)

    def receive(self, link: Link, number: int, forwarder: PeerId, data: bytes, copy: int) -> None:
        """Take in the message `number`, which has crossed `link`. copy: 1 when the link brings it a second time."""
        if not link.open or not self._network.passes(forwarder, self._peer):
            return
        self._links.hear(forwarder, len(data))
        if not self._gate.is_open_to(forwarder):
            self._counters["gossip_dropped"] += 1
            return
        first = number not in self._seen
        if not first and copy == 0:
            return
        try:
            self._messages_in.send_nowait(GossipMessage(forwarder=forwarder, data=data))
        except (trio.WouldBlock, trio.BrokenResourceError):
            self._counters["gossip_dropped"] += 1
        if first:
            self._remember(number)
            if self._network.gossip_degree is not None:
                self._forward(number, data, exclude=forwarder)

    def close(self) -> None:
        self._messages_in.close()

    def _forward(self, number: int, data: bytes, *, exclude: PeerId | None) -> None:
        links = self._links.by_peer
        peers = [peer for peer in links if peer != exclude and self._gate.is_open_to(peer)]
        degree = self._network.gossip_degree
        if degree is not None and len(peers) > degree:
            peers = self._network.direction(self._peer, self._peer).rng.sample(peers, degree)
        now = trio.current_time()
        for peer in peers:
            link = links[peer]
            direction = self._network.direction(self._peer, peer)
            self._counters["bytes_sent"] += len(data)
            if not link.open or direction.loses(direction.profile.gossip_loss):
                continue
            target = link.other_end(self._end)
            twice = direction.loses(direction.profile.duplication)
            for copy in range(2 if twice else 1):
                deliver = partial(target.gossip.receive, link, number, self._peer, data, copy)
                target.schedule(now + direction.delay(len(data)), deliver)

    def _remember(self, number: int) -> None:
        self._seen[number] = None
        if len(self._seen) > SEEN_MESSAGES:
            del self._seen[next(iter(self._seen))]
