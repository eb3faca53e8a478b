"""Find the others and keep trying: ask every source, dial whoever is not connected, back off, never give up."""

import math
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Never

import trio

from peer.addresses import split_peer, stands_for_one_place
from peer.errors import IdentityInUseError, SelfDialError, TransportError
from peer.network.discovery.backoff import RedialPolicy, RedialSchedule
from peer.network.discovery.book import AddressBook, BookDiscovery
from peer.network.discovery.dial_plan import DialPlan
from peer.network.discovery.source import DiscoverySource
from peer.network.transport import Origin, Transport
from peer.services.dial_failures import DialFailures
from peer.services.service import TaskStatus
from peer.telemetry.peer_events import DiscoveryFailed
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds

_LOOK_S = 0.25

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
        book: AddressBook,
        *,
        sink: EventSink,
        redial: RedialPolicy,
        rediscover_s: Seconds,
        rng: random.Random,
        max_peers: int,
        on_own_identity: Callable[[str], None],
    ) -> None:
        """book: told what became of each dial. max_peers: with so many connected nobody is dialled.

        on_own_identity: called with the place where another process answered as the same peer as this one.
        """
        self._transport = transport
        self._sources = sources
        self._book = book
        self._sink = sink
        self._rediscover_s = rediscover_s
        self._plan = DialPlan(transport.local_peer, book, RedialSchedule(redial, rng))
        self._lookups = RedialSchedule(redial, rng)
        self._max_peers = max_peers
        self._on_own_identity = on_own_identity
        self._failures = DialFailures(sink)
        self._unsettled: dict[str, tuple[PeerId, Seconds]] = {}  # who answered since when, but may still be refused

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Search until cancelled."""
        async with trio.open_nursery() as nursery:
            for source in self._sources:
                nursery.start_soon(self._look_up_forever, source)
            task_status.started()
            while True:
                now, connected = trio.current_time(), self._transport.connected_peers()
                self._settle(connected, now)
                if len(connected) < self._max_peers:
                    for address, origin in self._plan.begin(connected, now):
                        nursery.start_soon(partial(self._dial, address, origin))
                await trio.sleep(_LOOK_S)

    # Look-ups

    async def _look_up_forever(self, source: DiscoverySource) -> Never:
        while True:
            page = self._book.version
            try:
                self._plan.named(source.name, await source.addresses())
            except TransportError as error:  # what it said last stays known
                self._sink.emit(DiscoveryFailed(source=source.name, cause=str(error)))
            self._plan.forget_unnamed()
            self._failures.retain(self._plan.places)
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

    # Dials

    async def _dial(self, address: str, origin: Origin) -> None:
        try:
            peer = await self._transport.connect(address, origin=origin)
        except SelfDialError:
            if stands_for_one_place(address):
                self._plan.led_to_us(address)
            else:
                self._plan.put_off(address, trio.current_time())
        except IdentityInUseError:
            self._plan.put_off(address, trio.current_time())
            self._on_own_identity(split_peer(address)[0])
        except TransportError as error:
            self._failed(address, str(error))
        else:
            self._plan.answered(address, peer, trio.current_time())
            self._unsettled[address] = peer, trio.current_time()
        finally:
            self._plan.ended(address)

    def _failed(self, address: str, cause: str) -> None:
        wait_s = self._plan.failed(address, trio.current_time())
        place, expected = split_peer(address)
        if expected is not None:
            self._book.failed(expected, place)
        self._failures.tell(address, cause, failures=self._plan.failures(address), retry_s=wait_s)

    def _settle(self, connected: frozenset[PeerId], now: Seconds) -> None:
        """Count those as found whose connections have lasted; one that ended earlier stays a failed dial."""
        for address, (peer, since) in list(self._unsettled.items()):
            if peer in connected and now < since + _SETTLED_S:
                continue
            del self._unsettled[address]
            if peer in connected:
                place = split_peer(address)[0]
                self._plan.settled(address)
                self._failures.succeeded(place)
                # Not before: one that is refused would get a second address, and be dialled twice as often.
                self._book.answered(peer, place, unix_s=int(time.time()))
