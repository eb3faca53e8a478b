"""Which addresses to dial now: by who names them, what became of earlier dials, and who is connected already. Pure."""

import hashlib
from collections import Counter
from collections.abc import Iterable

from peer.addresses import split_peer
from peer.network.discovery.backoff import RedialSchedule
from peer.network.discovery.book import AddressBook, BookDiscovery
from peer.network.transport import Origin
from peer.types import PeerId, Seconds

MAX_DIALS = 8
"""At a time, of addresses of each origin."""


class DialPlan:
    """The addresses that sources name, and what became of dials of them; the caller dials, and brings `now`.

    A place is an address without the peer's id: one source may name it with the id, and another without.
    """

    def __init__(self, me: PeerId, book: AddressBook, schedule: RedialSchedule) -> None:
        """book: knows who has answered where before."""
        self._me = me
        self._book = book
        self._schedule = schedule
        self._named_by: dict[str, tuple[str, ...]] = {}  # the addresses each source named last
        self._answered: dict[str, PeerId] = {}  # who answered at an address, until a dial of it fails
        self._dialling: dict[str, Origin] = {}
        self._own: set[str] = set()  # addresses where this process itself answered

    @property
    def places(self) -> set[str]:
        """Return all that are named now."""
        return {split_peer(address)[0] for address in self._candidates()}

    def named(self, source: str, addresses: Iterable[str]) -> None:
        """Note which addresses a source names from now on."""
        self._named_by[source] = tuple(addresses)

    def forget_unnamed(self) -> None:
        """Keep nothing about addresses that no source names any more: in a cluster they change for ever."""
        candidates = self._candidates()
        self._schedule.retain(candidates)
        self._own &= candidates
        self._answered = {address: peer for address, peer in self._answered.items() if address in candidates}

    def begin(self, connected: frozenset[PeerId], now: Seconds) -> list[tuple[str, Origin]]:
        """Return what to dial now; each of these is under way until it has `ended`."""
        due = self._due(connected, now)
        # Fewest failures first: among many dead addresses the one that lives must get its turn. Then each peer in an
        # order of its own: peers that start together would else all dial the same one, and then all the next.
        due.sort(key=lambda address: (self._schedule.failures(address), self._turn(address)))
        busy = {split_peer(address)[0] for address in self._dialling}
        under_way, told = Counter(self._dialling.values()), self._told_places()
        begun: list[tuple[str, Origin]] = []
        for address in due:
            place, origin = split_peer(address)[0], self._origin(address, told)
            if under_way[origin] < MAX_DIALS and place not in busy:
                busy.add(place)
                under_way[origin] += 1
                begun.append((address, origin))
        self._dialling.update(begun)
        return begun

    def ended(self, address: str) -> None:
        """Note that a dial is over, after what became of it."""
        del self._dialling[address]

    def answered(self, address: str, peer: PeerId, now: Seconds) -> None:
        """Note who answered. Until it has `settled` the dial counts as failed: a peer that refuses us at once must not
        be dialled in a loop."""
        self._answered[address] = peer
        self._schedule.failed(address, now)

    def settled(self, address: str) -> None:
        """Note that whoever answered has stayed connected: if it is lost again, the next dial comes at once."""
        self._schedule.succeeded(address)

    def failed(self, address: str, now: Seconds) -> Seconds:
        """Note that nobody answered; return the wait before the next dial."""
        self._answered.pop(address, None)
        return self.put_off(address, now)

    def put_off(self, address: str, now: Seconds) -> Seconds:
        """Note that a dial led to nothing, whoever answered; return the wait before the next."""
        return self._schedule.failed(address, now)

    def led_to_us(self, address: str) -> None:
        """Note that this very process answered, and always will."""
        self._own.add(address)

    def failures(self, address: str) -> int:
        """Return how many dials in a row have failed."""
        return self._schedule.failures(address)

    def _candidates(self) -> set[str]:
        return {address for addresses in self._named_by.values() for address in addresses}

    def _due(self, connected: frozenset[PeerId], now: Seconds) -> list[str]:
        here = connected | {self._me}
        return [
            address
            for address in self._candidates() - self._own - self._dialling.keys()
            if self._answered.get(address) not in connected
            and split_peer(address)[1] not in here
            and self._schedule.is_due(address, now)
        ]

    def _turn(self, address: str) -> bytes:
        return hashlib.sha256(f"{self._me} {address}".encode()).digest()

    def _told_places(self) -> set[str]:
        """Return where others than the book say that somebody is."""
        sources = (addresses for name, addresses in self._named_by.items() if name != BookDiscovery.name)
        return {split_peer(address)[0] for addresses in sources for address in addresses}

    def _origin(self, address: str, told: set[str]) -> Origin:
        place, peer = split_peer(address)
        if place in told:
            return Origin.NAMED
        return Origin.MET if peer is not None and self._book.has_answered(peer, place) else Origin.HEARSAY
