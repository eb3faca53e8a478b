"""The transport of virtual-time swarms: `Transport` over a `MemoryNetwork`.

All that happens to a peer (deliveries, lost requests, broken connections) is a timed event of the network;
only a request being served costs a task, and that task lives with the server. A crash therefore takes along
everything that was on its way to the peer and everything it was doing, as in life.
"""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from peer.errors import IdentityInUseError, ProtocolError, SelfDialError, TransportError
from peer.network.counters import new_counters
from peer.network.gate import Gate
from peer.network.memory_network import Link, MemoryNetwork
from peer.network.memory_replies import Download, Reply
from peer.network.transport import (
    MAX_GOSSIP_BYTES,
    MAX_MESSAGE_BYTES,
    Content,
    DownloadHandler,
    GossipMessage,
    PeerConnected,
    PeerDisconnected,
    RequestHandler,
    TransportEvent,
)
from peer.types import PeerId, Seconds, Session

__all__ = ["MemoryNetwork", "MemoryTransport", "open_memory_transport"]

EVENT_QUEUE = 1024
GOSSIP_QUEUE = 1024
SEEN_MESSAGES = 8192
DOWNLOAD_PART_BYTES = 256 * 1024
"""Each is an event, and may be lost."""


class MemoryTransport:
    """One peer's attachment to a `MemoryNetwork`; open it with `open_memory_transport`."""

    def __init__(
        self, network: MemoryNetwork, peer: PeerId, address: str, *, session: Session, gossip_queue: int
    ) -> None:
        self._network = network
        self._peer = peer
        self._session = session
        self._address = address
        self._alive = True
        self._links: dict[PeerId, Link] = {}
        self._second_links: list[Link] = []  # to other processes of peers that are in `_links`
        self._heard: dict[PeerId, Seconds] = {}
        self._handlers: dict[str, RequestHandler] = {}
        self._open_handlers: set[str] = set()
        self._download_handlers: dict[str, DownloadHandler] = {}
        self._gate = Gate()
        self._waiting: set[Reply] = set()
        self._seen: dict[int, None] = {}
        self._life = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._counters = new_counters()
        self._gossip_in, self._gossip_out = trio.open_memory_channel[GossipMessage](gossip_queue)
        self._events_in, self._events_out = trio.open_memory_channel[TransportEvent](EVENT_QUEUE)

    # The Transport protocol.

    @property
    def local_peer(self) -> PeerId:
        return self._peer

    @property
    def session(self) -> Session:
        return self._session

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        return (self._address,)

    @property
    def gossip(self) -> trio.MemoryReceiveChannel[GossipMessage]:
        return self._gossip_out

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        return self._events_out

    def connected_peers(self) -> frozenset[PeerId]:
        return frozenset(self._links)

    def sessions_of(self, peer: PeerId) -> frozenset[Session]:
        return frozenset(link.other_end(self)._session for link in self._links_to(peer))

    def keep_session(self, peer: PeerId, session: Session) -> None:
        links = self._links_to(peer)
        kept = [link for link in links if link.other_end(self)._session == session]
        if not kept:
            return
        self._links[peer] = kept[0]
        self._second_links = [link for link in self._second_links if link not in links]
        for link in links:
            if link not in kept:
                self._close_link(link, cause="closed by the peer", notice_s=None)
                self._fail_requests(link, "closed by us")

    def _links_to(self, peer: PeerId) -> list[Link]:
        first = [self._links[peer]] if peer in self._links else []
        return first + [link for link in self._second_links if link.other_end(self)._peer == peer]

    def heard_at(self, peer: PeerId) -> Seconds:
        return self._heard.get(peer, -math.inf)

    def remote_host(self, peer: PeerId) -> str | None:  # noqa: ARG002  # the contract's signature
        return None  # there are no IP addresses here

    def handle(self, protocol: str, handler: RequestHandler, *, strangers: bool = False) -> None:
        self._handlers[protocol] = handler
        (self._open_handlers.add if strangers else self._open_handlers.discard)(protocol)

    def admit(self, peers: frozenset[PeerId]) -> None:
        self._gate.admit(peers)

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    async def connect(self, address: str) -> PeerId:
        try:
            return await self._dial(address)
        except TransportError:
            self._counters["dials_failed"] += 1
            raise

    async def disconnect(self, peer: PeerId) -> None:
        for link in reversed(self._links_to(peer)):
            self._close_link(link, cause="closed by the peer", notice_s=None)
            self.drop_link(link, "closed by us")
        await trio.lowlevel.checkpoint()

    async def publish(self, data: bytes) -> None:
        if len(data) > MAX_GOSSIP_BYTES:
            raise ValueError(f"gossip is bounded at {MAX_GOSSIP_BYTES} bytes, got {len(data)}")
        self._require_alive()
        number = self._network.next_number()
        self._remember(number)
        self._forward(number, bytes(data), exclude=None)
        await trio.lowlevel.checkpoint()

    async def request(self, peer: PeerId, protocol: str, data: bytes, *, session: Session | None = None) -> bytes:
        if len(data) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a request is bounded at {MAX_MESSAGE_BYTES} bytes, got {len(data)}")
        self._require_alive()
        links = self._links_to(peer)
        link = next((link for link in links if session in (None, link.other_end(self)._session)), None)
        if link is None:
            raise TransportError(f"not connected to {peer}")
        reply = Reply(peer, link)
        self._waiting.add(reply)
        try:
            self._counters["bytes_sent"] += len(data)
            self._send(link, partial(self._arrive, link, protocol, bytes(data), reply), len(data), reply)
            return await reply.wait()
        finally:
            self._waiting.discard(reply)

    def handle_download(self, protocol: str, handler: DownloadHandler) -> None:
        self._download_handlers[protocol] = handler

    async def download(
        self, peer: PeerId, protocol: str, data: bytes, *, max_bytes: int, take: Callable[[Content], object]
    ) -> None:
        self._require_alive()
        links = self._links_to(peer)
        if not links:
            raise TransportError(f"not connected to {peer}")
        link = links[0]
        download = Download(peer, link, max_bytes=max_bytes)
        self._waiting.add(download)
        try:
            self._counters["bytes_sent"] += len(data)
            self._send(link, partial(self._arrive_download, link, protocol, bytes(data), download), len(data), download)
            await download.drain(take)
        finally:
            self._waiting.discard(download)

    # Dialling.

    async def _dial(self, address: str) -> PeerId:
        self._require_alive()
        place, _, wanted = address.partition("/p2p/")
        if not place.startswith("/memory/"):
            raise TransportError(f"cannot dial {address}: expected /memory/<name>")
        if place == self._address:
            raise SelfDialError(f"dialled ourselves at {place}")
        target = self._network.listener(place)
        if target is not None and not self._network.is_whole(self._peer, target.local_peer):
            await trio.sleep(self._network.dial_timeout_s)
            raise TransportError(f"dial of {place} timed out")
        there = target.local_peer if target is not None else PeerId(place)
        await trio.sleep(self._network.direction(self._peer, there).delay(0) * 2)
        target = self._network.listener(place)
        if target is None or not target._alive:
            raise TransportError(f"connection to {place} refused")
        if wanted and wanted != target.local_peer:
            raise TransportError(f"identity differs at {place}: expected {wanted}, got {target.local_peer}")
        if target.local_peer == self._peer:
            raise IdentityInUseError(f"another process answers at {place} with our own identity")
        self._require_alive()
        self._join(target)
        return target.local_peer

    def _join(self, target: "MemoryTransport") -> None:
        known = self._links_to(target.local_peer)
        if any(link.open and target in link.ends for link in known):  # an earlier life of it does not count
            return
        link = Link(self, target)
        self._network.add_link(link)
        for end, peer in ((self, target.local_peer), (target, self._peer)):
            old = end._links.get(peer)
            if old is not None and old.open and old.other_end(end)._alive and link.other_end(end) not in old.ends:
                end._second_links.append(link)
                continue
            if old is not None:
                end.drop_link(old, "replaced by a new connection")
            end._links[peer] = link
            end._heard[peer] = trio.current_time()
            end._announce(PeerConnected(peer=peer))

    def _close_link(self, link: Link, *, cause: str, notice_s: Seconds | None) -> None:
        """Stop traffic now; the other end notices `notice_s` later, by default after one message delay."""
        if not link.open:
            return
        link.open = False
        self._network.remove_link(link)
        end = link.other_end(self)
        delay = notice_s
        if delay is None:
            delay = self._network.direction(self._peer, end._peer).delay(0)
        if not self._network.passes(self._peer, end._peer):
            delay = max(delay, self._network.detection_s)
        end.schedule(trio.current_time() + delay, partial(end.drop_link, link, cause))

    def drop_link(self, link: Link, cause: str) -> None:
        """Forget a link that is down: tell the services, and fail the requests that wait on it."""
        peer = link.other_end(self).local_peer
        self._fail_requests(link, cause)
        if link in self._second_links:
            self._second_links.remove(link)
        elif self._links.get(peer) is link:
            del self._links[peer]
            second = self._links_to(peer)
            if second:  # the peer stays connected by another of its processes
                self._links[peer] = second[0]
                self._second_links.remove(second[0])
                return
            self._heard.pop(peer, None)
            self._announce(PeerDisconnected(peer=peer, cause=cause))

    def _fail_requests(self, link: Link, cause: str) -> None:
        for reply in [reply for reply in self._waiting if reply.link is link]:
            reply.settle(TransportError(f"connection to {reply.peer} broke: {cause}"))

    def _announce(self, event: TransportEvent) -> None:
        try:
            self._events_in.send_nowait(event)
        except trio.WouldBlock:
            pass  # repaired by connected_peers, as the contract says
        except trio.BrokenResourceError:
            pass  # the reader has closed its end: it wants no events

    # Gossip.

    def _forward(self, number: int, data: bytes, *, exclude: PeerId | None) -> None:
        peers = [peer for peer in self._links if peer != exclude and self._gate.is_open_to(peer)]
        degree = self._network.gossip_degree
        if degree is not None and len(peers) > degree:
            peers = self._network.direction(self._peer, self._peer).rng.sample(peers, degree)
        now = trio.current_time()
        for peer in peers:
            link = self._links[peer]
            direction = self._network.direction(self._peer, peer)
            self._counters["bytes_sent"] += len(data)
            if not link.open or direction.loses(direction.profile.gossip_loss):
                continue
            target = link.other_end(self)
            twice = direction.loses(direction.profile.duplication)
            for copy in range(2 if twice else 1):
                deliver = partial(target._receive_gossip, link, number, self._peer, data, copy)
                target.schedule(now + direction.delay(len(data)), deliver)

    def _receive_gossip(self, link: Link, number: int, forwarder: PeerId, data: bytes, copy: int) -> None:
        if not link.open or not self._network.passes(forwarder, self._peer):
            return
        self._hear(forwarder, len(data))
        if not self._gate.is_open_to(forwarder):
            self._counters["gossip_dropped"] += 1
            return
        first = number not in self._seen
        if not first and copy == 0:
            return
        try:
            self._gossip_in.send_nowait(GossipMessage(forwarder=forwarder, data=data))
        except (trio.WouldBlock, trio.BrokenResourceError):
            self._counters["gossip_dropped"] += 1
        if first:
            self._remember(number)
            if self._network.gossip_degree is not None:
                self._forward(number, data, exclude=forwarder)

    def _remember(self, number: int) -> None:
        self._seen[number] = None
        if len(self._seen) > SEEN_MESSAGES:
            del self._seen[next(iter(self._seen))]

    # Requests.

    def _send(self, link: Link, deliver: Callable[[], None], size: int, reply: Reply) -> None:
        """Carry one request or response to the other end of `link`; when it is lost, `reply` fails later."""
        target = link.other_end(self)
        direction = self._network.direction(self._peer, target._peer)
        if direction.loses(direction.profile.request_loss):
            self._lose(reply)
        else:
            target.schedule(trio.current_time() + direction.delay(size), deliver)

    def _lose(self, reply: Reply) -> None:
        lost = TransportError(f"request to {reply.peer} was lost")
        at = trio.current_time() + self._network.profile.loss_delay_s
        self._network.schedule(at, reply.settle, lost)

    def _arrive(self, link: Link, protocol: str, data: bytes, reply: Reply) -> None:
        """Start serving: runs when the request has crossed the link."""
        server = link.other_end(self)
        if not link.open or not self._network.passes(self._peer, server._peer):
            self._lose(reply)
        elif server._nursery is not None:
            server._hear(self._peer, len(data))
            server._nursery.start_soon(server._serve, self, link, protocol, data, reply)

    async def _serve(self, requester: "MemoryTransport", link: Link, protocol: str, data: bytes, reply: Reply) -> None:
        answer = await self._answer(requester._peer, protocol, data)
        size = len(answer) if isinstance(answer, bytes) else 0
        self._counters["bytes_sent"] += size
        if link.open and self._alive:
            self._send(link, partial(requester._settle, link, reply, answer), size, reply)

    async def _answer(self, peer: PeerId, protocol: str, data: bytes) -> bytes | TransportError:
        handler = self._handlers.get(protocol)
        if handler is None:
            return TransportError(f"{self._peer} does not serve {protocol}")
        try:
            if protocol not in self._open_handlers:
                await self._gate.wait_for(peer)
            answer = await handler(peer, data)
        except ProtocolError:
            self._counters["protocol_errors"] += 1
            return TransportError(f"{self._peer} refused the {protocol} request")
        except Exception:  # a service's handler must not end the network; the contract says it is counted
            self._counters["handler_errors"] += 1
            return TransportError(f"{self._peer} failed to answer the {protocol} request")
        if len(answer) > MAX_MESSAGE_BYTES:
            self._counters["handler_errors"] += 1
            return TransportError(f"{self._peer} answered {protocol} above {MAX_MESSAGE_BYTES} bytes")
        return bytes(answer)

    def _settle(self, link: Link, reply: Reply, answer: bytes | TransportError) -> None:
        server = link.other_end(self)
        if not link.open or not self._network.passes(server._peer, self._peer):
            self._lose(reply)
            return
        self._hear(server._peer, len(answer) if isinstance(answer, bytes) else 0)
        reply.settle(answer)

    # Downloads.

    def _arrive_download(self, link: Link, protocol: str, data: bytes, download: Download) -> None:
        """Start serving: runs when the request has crossed the link."""
        server = link.other_end(self)
        if not link.open or not self._network.passes(self._peer, server._peer):
            self._lose(download)
        elif server._nursery is not None:
            server._hear(self._peer, len(data))
            server._nursery.start_soon(server._serve_download, self, link, protocol, data, download)

    async def _serve_download(
        self, requester: "MemoryTransport", link: Link, protocol: str, data: bytes, download: Download
    ) -> None:
        handler = self._download_handlers.get(protocol)
        refusal = f"{self._peer} does not serve {protocol}"
        try:
            if handler is not None:
                await self._gate.wait_for(requester._peer)
                async with handler(requester._peer, data) as content:
                    await self._send_parts(requester, link, content, download)
                return
        except ProtocolError:
            self._counters["protocol_errors"] += 1
            refusal = f"{self._peer} refused the {protocol} request"
        except Exception:  # as in `_answer`
            self._counters["handler_errors"] += 1
            refusal = f"{self._peer} failed to answer the {protocol} request"
        if link.open and self._alive:
            self._send(link, partial(requester._settle, link, download, TransportError(refusal)), 0, download)

    async def _send_parts(self, requester: "MemoryTransport", link: Link, content: Content, download: Download) -> None:
        """Send one part after the other, no faster than the link carries them, until nobody waits for them."""
        view, total, arrival = memoryview(content), len(content), -math.inf
        direction = self._network.direction(self._peer, requester._peer)
        for start in range(0, max(total, 1), DOWNLOAD_PART_BYTES):
            part = view[start : start + DOWNLOAD_PART_BYTES]
            if not link.open or not self._alive or download not in requester._waiting or download.outcome:
                return
            self._counters["bytes_sent"] += len(part)
            if direction.loses(direction.profile.request_loss):
                requester._lose(download)
                return
            arrival = max(arrival, trio.current_time() + direction.delay(len(part)))
            requester.schedule(arrival, partial(requester._take_part, link, download, part, total))
            if math.isfinite(direction.profile.bytes_per_s):
                await trio.sleep(len(part) / direction.profile.bytes_per_s)

    def _take_part(self, link: Link, download: Download, part: Content, total: int) -> None:
        server = link.other_end(self)
        if download not in self._waiting or download.outcome is not None:
            return
        if not link.open or not self._network.passes(server._peer, self._peer):
            self._lose(download)
            return
        self._hear(server._peer, len(part))
        if total > download.max_bytes:
            self._counters["frames_refused"] += 1
            download.settle(TransportError(f"{server._peer} answered with {total} bytes, above {download.max_bytes}"))
        else:
            download.add(part, total)

    # Life.

    def _hear(self, peer: PeerId, size: int) -> None:
        self._counters["bytes_received"] += size
        if peer in self._links:
            self._heard[peer] = trio.current_time()

    def schedule(self, at: Seconds, act: Callable[[], None]) -> None:
        """Run `act` at time `at`, or never if the peer is gone by then."""
        self._network.schedule(at, self._if_alive, act)

    def _if_alive(self, act: Callable[[], None]) -> None:
        if self._alive:
            act()

    def kill(self, *, notice_s: Seconds) -> None:
        """End this peer without a word; the others notice after `notice_s`."""
        self._detach(cause="connection reset", notice_s=notice_s)
        self._life.cancel()

    def _detach(self, *, cause: str, notice_s: Seconds | None) -> None:
        if not self._alive:
            return
        self._alive = False
        self._network.detach(self._address)
        for link in [*self._second_links, *self._links.values()]:
            self._close_link(link, cause=cause, notice_s=notice_s)
            self.drop_link(link, "closed by us")
        self._gossip_in.close()
        self._events_in.close()

    def _require_alive(self) -> None:
        if not self._alive:
            raise TransportError("this transport is closed")


@asynccontextmanager
async def open_memory_transport(
    network: MemoryNetwork,
    peer: PeerId,
    address: str,
    *,
    session: Session | None = None,
    gossip_queue: int = GOSSIP_QUEUE,
) -> AsyncIterator[MemoryTransport]:
    """Attach `peer` to `network` at `address` ("/memory/<name>") for the length of the block.

    session: of this life; one of its own if None.
    `network.crash(peer)` cancels the block's body. Raises: TransportError when the address is taken.
    """
    if not address.startswith("/memory/") or len(address) == len("/memory/"):
        raise ValueError(f"expected an address /memory/<name>, got {address!r}")
    if session is None:
        session = Session(network.next_number().to_bytes(16, "big"))
    transport = MemoryTransport(network, peer, address, session=session, gossip_queue=gossip_queue)
    network.attach(address, transport)
    try:
        with transport._life:
            async with trio.open_nursery() as nursery:
                transport._nursery = nursery
                nursery.start_soon(network.pump)
                yield transport
                nursery.cancel_scope.cancel()
    finally:
        transport._detach(cause="closed by the peer", notice_s=None)
