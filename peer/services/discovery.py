"""Find the others and keep trying: ask every source, dial whoever is not connected, back off, never give up."""

import hashlib
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Never

import trio

from peer.addresses import stands_for_one_place
from peer.errors import IdentityInUseError, SelfDialError, TransportError
from peer.network.discovery.backoff import RedialPolicy, RedialSchedule
from peer.network.discovery.book import MAX_PEERS, AddressBook, BookDiscovery, split_peer
from peer.network.discovery.source import DiscoverySource
from peer.network.transport import Origin, Transport
from peer.services.dial_failures import DialFailures
from peer.services.service import TaskStatus
from peer.telemetry.peer_events import DiscoveryFailed
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds

_LOOK_S = 0.25
MAX_DIALS = 8
"""At a time, of addresses of each origin."""

_SETTLED_S = 3.0
"""How long a new connection must last to count: a peer that refuses us says why, and hangs up a second later."""


class Seeker:
    """Dials the addresses of all sources. rediscover_s: pause between two look-ups once somebody is connected.

    While nobody is connected a source is asked again after `redial.first_s`, growing to `rediscover_s`. The book is
    looked into as soon as there is something new in it.
    """

    def __init__(
        self,
        transport: Transport,
        sources: Sequence[DiscoverySource],
        *,
        sink: EventSink,
        redial: RedialPolicy,
        rediscover_s: Seconds,
        rng: random.Random,
        book: AddressBook | None = None,
        max_peers: int = MAX_PEERS,
        unix_time: Callable[[], float] = time.time,
        on_own_identity: Callable[[str], None] = lambda _: None,
    ) -> None:
        """book: told what became of each dial. max_peers: with so many connected nobody is dialled.

        on_own_identity: called with the place where another process answered as the same peer as this one.
        """
        self._transport = transport
        self._sources = sources
        self._sink = sink
        self._redial = redial
        self._rediscover_s = rediscover_s
        self._schedule = RedialSchedule(redial, rng)
        self._lookups = RedialSchedule(redial, rng)
        self._book = book or AddressBook()
        self._max_peers = max_peers
        self._unix_time = unix_time
        self._on_own_identity = on_own_identity
        self._failures = DialFailures(sink)
        self._named_by: dict[str, tuple[str, ...]] = {}  # the addresses each source named last
        self._answered: dict[str, PeerId] = {}  # who answered at an address, until a dial of it fails
        self._dialling: dict[str, Origin] = {}
        self._own: set[str] = set()  # addresses where this process itself answered
        self._unsettled: dict[str, tuple[PeerId, Seconds]] = {}  # who answered since when, but may still be refused

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Search until cancelled."""
        async with trio.open_nursery() as nursery:
            for source in self._sources:
                nursery.start_soon(self._look_up_forever, source)
            task_status.started()
            while True:
                self._dial_due(nursery)
                await trio.sleep(_LOOK_S)

    async def _look_up_forever(self, source: DiscoverySource) -> Never:
        while True:
            page = self._book.version
            try:
                self._named_by[source.name] = tuple(await source.addresses())
            except TransportError as error:  # what it said last stays known
                self._sink.emit(DiscoveryFailed(source=source.name, cause=str(error)))
            self._forget_strangers()
            if self._transport.connected_peers():
                self._lookups.succeeded(source.name)
                wait_s = self._rediscover_s
            else:
                wait_s = min(self._lookups.failed(source.name, trio.current_time()), self._rediscover_s)
            if source.name == BookDiscovery.name:
                await self._wait_for_book(wait_s, after=page)
            else:
                await trio.sleep(wait_s)

    async def _wait_for_book(self, wait_s: Seconds, *, after: int) -> None:
        """Wait until there is something in the book that was not at version `after`, for `wait_s` at most."""
        for _ in range(math.ceil(wait_s / _LOOK_S)):
            if self._book.version != after:
                return
            await trio.sleep(_LOOK_S)

    def _forget_strangers(self) -> None:
        """Keep nothing about addresses that no source names any more: in a cluster they change for ever."""
        candidates = self._candidates()
        self._schedule.retain(candidates)
        self._own &= candidates
        self._failures.retain({split_peer(address)[0] for address in candidates})
        self._answered = {address: peer for address, peer in self._answered.items() if address in candidates}

    def _dial_due(self, nursery: trio.Nursery) -> None:
        now = trio.current_time()
        connected = self._transport.connected_peers()
        self._settle(connected, now)
        if len(connected) >= self._max_peers:
            return
        here = connected | {self._transport.local_peer}
        due = [
            address
            for address in self._candidates() - self._own - self._dialling.keys()
            if self._answered.get(address) not in connected
            and split_peer(address)[1] not in here
            and self._schedule.is_due(address, now)
        ]
        # Fewest failures first: among many dead addresses the one that lives must get its turn. Then each peer in an
        # order of its own: peers that start together would else all dial the same one, and then all the next.
        due.sort(key=lambda address: (self._schedule.failures(address), self._turn(address)))
        places = {split_peer(address)[0] for address in self._dialling}
        under_way, named = Counter(self._dialling.values()), self._named()
        for address in due:
            place, origin = split_peer(address)[0], self._origin(address, named)
            if under_way[origin] >= MAX_DIALS or place in places:  # two sources may name it, with the id and without
                continue
            places.add(place)
            under_way[origin] += 1
            self._dialling[address] = origin
            nursery.start_soon(partial(self._dial, address, origin))

    def _settle(self, connected: frozenset[PeerId], now: Seconds) -> None:
        """Count those as found whose connections have lasted; one that ended earlier stays a failed dial."""
        for address, (peer, since) in list(self._unsettled.items()):
            if peer in connected and now < since + _SETTLED_S:
                continue
            del self._unsettled[address]
            if peer in connected:
                place = split_peer(address)[0]
                self._schedule.succeeded(address)
                self._failures.succeeded(place)
                # Not before: one that is refused would get a second address, and be dialled twice as often.
                self._book.answered(peer, place, unix_s=int(self._unix_time()))

    def _named(self) -> set[str]:
        """Return where others than the book say that somebody is."""
        sources = (addresses for name, addresses in self._named_by.items() if name != BookDiscovery.name)
        return {split_peer(address)[0] for addresses in sources for address in addresses}

    def _origin(self, address: str, named: set[str]) -> Origin:
        place, peer = split_peer(address)
        if place in named:
            return Origin.NAMED
        return Origin.MET if peer is not None and self._book.has_answered(peer, place) else Origin.HEARSAY

    def _turn(self, address: str) -> bytes:
        return hashlib.sha256(f"{self._transport.local_peer} {address}".encode()).digest()

    def _candidates(self) -> set[str]:
        return {address for addresses in self._named_by.values() for address in addresses}

    async def _dial(self, address: str, origin: Origin) -> None:
        try:
            peer = await self._transport.connect(address, origin=origin)
        except SelfDialError:
            if stands_for_one_place(address):
                self._own.add(address)
            else:
                self._schedule.failed(address, trio.current_time())
        except IdentityInUseError:
            self._schedule.failed(address, trio.current_time())
            self._on_own_identity(split_peer(address)[0])
        except TransportError as error:
            self._answered.pop(address, None)
            wait_s = self._schedule.failed(address, trio.current_time())
            place, expected = split_peer(address)
            if expected is not None:
                self._book.failed(expected, place)
            self._failures.tell(address, str(error), failures=self._schedule.failures(address), retry_s=wait_s)
        else:
            self._answered[address] = peer
            # A peer that is refused right after the handshake must not be dialled in a loop.
            self._schedule.failed(address, trio.current_time())
            self._unsettled[address] = peer, trio.current_time()
        finally:
            del self._dialling[address]
