"""Who is connected to one end of a `MemoryNetwork`, and by which links."""

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import trio

from peer.errors import TransportError
from peer.network.memory_network import Link
from peer.network.transport import NO_GOODBYE, STOPPED, PeerConnected, PeerDisconnected, TransportEvent
from peer.types import PeerId, Seconds, Session

if TYPE_CHECKING:
    from peer.network.memory_end import MemoryEnd

EVENT_QUEUE = 1024


class MemoryLinks:
    """The links of one end: one to each connected peer, and more to those whose identity runs more than once."""

    def __init__(self, end: "MemoryEnd") -> None:
        self._end = end
        self._by_peer: dict[PeerId, Link] = {}
        self._second: list[Link] = []  # to other processes of peers that are in `_by_peer`
        self._heard: dict[PeerId, Seconds] = {}
        self._events_in, self.events = trio.open_memory_channel[TransportEvent](EVENT_QUEUE)

    @property
    def by_peer(self) -> Mapping[PeerId, Link]:
        """The link that each connected peer is reached by, in the order in which they connected."""
        return self._by_peer

    def link_to(self, peer: PeerId, *, session: Session | None = None) -> Link:
        """Return the link to that process of `peer`, to any if None. Raises: TransportError when there is none."""
        for link in self._all_to(peer):
            if session in (None, link.other_end(self._end).session):
                return link
        raise TransportError(f"not connected to {peer}")

    def sessions_of(self, peer: PeerId) -> frozenset[Session]:
        return frozenset(link.other_end(self._end).session for link in self._all_to(peer))

    def heard_at(self, peer: PeerId) -> Seconds:
        return self._heard.get(peer, -math.inf)

    def hear(self, peer: PeerId, size: int) -> None:
        """Note that `size` bytes came in from `peer`."""
        self._end.counters["bytes_received"] += size
        if peer in self._by_peer:
            self._heard[peer] = trio.current_time()

    def join(self, target: "MemoryEnd") -> None:
        """Connect this end and `target`, unless they are."""
        known = self._all_to(target.peer)
        if any(link.open and target in link.ends for link in known):  # an earlier life of it does not count
            return
        link = Link(self._end, target)
        self._end.network.add_link(link)
        self._add(link)
        target.links._add(link)

    def drop(self, link: Link, cause: str, *, stopped: bool = False) -> None:
        """Forget a link that is down: tell the services, and fail the requests that wait on it.

        stopped: the other end said goodbye.
        """
        peer = link.other_end(self._end).peer
        self._end.exchanges.fail(link, cause)
        if link in self._second:
            self._second.remove(link)
        elif self._by_peer.get(peer) is link:
            del self._by_peer[peer]
            second = self._all_to(peer)
            if second:  # the peer stays connected by another of its processes
                self._by_peer[peer] = second[0]
                self._second.remove(second[0])
                return
            self._heard.pop(peer, None)
            self._announce(PeerDisconnected(peer=peer, cause=cause, stopped=stopped))

    def keep_session(self, peer: PeerId, session: Session) -> None:
        """Close the links to all other processes of `peer`, if one goes to that of `session`."""
        links = self._all_to(peer)
        kept = [link for link in links if link.other_end(self._end).session == session]
        if not kept:
            return
        self._by_peer[peer] = kept[0]
        self._second = [link for link in self._second if link not in links]
        for link in links:
            if link not in kept:
                self._close(link)
                self._end.exchanges.fail(link, "closed by us")

    def close_peer(self, peer: PeerId) -> None:
        for link in reversed(self._all_to(peer)):
            self._close(link)
            self.drop(link, "closed by us")

    def close_all(self, *, cause: str, notice_s: Seconds | None, goodbye: bool) -> None:
        """Close every link, and the events with them; what the other ends learn, and when: as in `_close`."""
        for link in [*self._second, *self._by_peer.values()]:
            self._close(link, cause=cause, notice_s=notice_s, goodbye=goodbye)
            self.drop(link, "closed by us")
        self._events_in.close()

    def _all_to(self, peer: PeerId) -> list[Link]:
        first = [self._by_peer[peer]] if peer in self._by_peer else []
        return first + [link for link in self._second if link.other_end(self._end).peer == peer]

    def _add(self, link: Link) -> None:
        target = link.other_end(self._end)
        old = self._by_peer.get(target.peer)
        if old is not None and old.open and old.other_end(self._end).alive and target not in old.ends:
            self._second.append(link)
            return
        if old is not None:
            self.drop(old, "replaced by a new connection")
        self._by_peer[target.peer] = link
        self._heard[target.peer] = trio.current_time()
        self._announce(PeerConnected(peer=target.peer))

    def _close(
        self, link: Link, *, cause: str = NO_GOODBYE, notice_s: Seconds | None = None, goodbye: bool = False
    ) -> None:
        """Stop traffic now; the other end notices `notice_s` later, by default after one message delay.

        goodbye: that this process stops, in place of `cause`; it is lost where messages are.
        """
        if not link.open:
            return
        link.open = False
        network, me, other = self._end.network, self._end.peer, link.other_end(self._end)
        network.remove_link(link)
        delay = network.direction(me, other.peer).delay(0) if notice_s is None else notice_s
        if not network.passes(me, other.peer):
            delay, goodbye = max(delay, network.detection_s), False
        drop = partial(other.links.drop, link, STOPPED if goodbye else cause, stopped=goodbye)
        other.schedule(trio.current_time() + delay, drop)

    def _announce(self, event: TransportEvent) -> None:
        try:
            self._events_in.send_nowait(event)
        except trio.WouldBlock:
            pass  # repaired by connected_peers, as the contract says
        except trio.BrokenResourceError:
            pass  # the reader has closed its end: it wants no events
