"""The peer book: addresses of peers that were met or heard of, kept over restarts, so that no seed is needed twice."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import msgspec
import trio

from peer.addresses import MAX_ADDRESS_CHARS, is_dialable, with_peer
from peer.errors import ProtocolError
from peer.types import PeerId

MAX_PEERS = 256
MAX_ADDRESSES = 8
"""Of one peer; as many as its card holds."""

MAX_SOURCES = 4
"""Of those who tell of one peer."""

MAX_FAILURES = 8
"""Failed dials in a row after which an address is forgotten that has never answered: hearsay, not experience."""


class KnownAddress(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A multiaddr, whose it is, and when that peer last answered there: Unix seconds, 0 for never (hearsay)."""

    peer: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    address: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ADDRESS_CHARS)]
    answered_at: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


_Pages = Annotated[list[KnownAddress], msgspec.Meta(max_length=MAX_PEERS * MAX_ADDRESSES)]
_decode = msgspec.msgpack.Decoder(_Pages).decode
_encode = msgspec.msgpack.Encoder().encode


class AddressBook:
    """At most `max_peers` peers with MAX_ADDRESSES each. Pure: the caller brings the time, and keeps the bytes.

    When it is full, those go first that never answered, and of them the oldest of whoever told of most, and nobody else
    told of: one that makes peers up displaces none that others know. Then those that have not answered for longest; the
    wall clock only orders, so that a wrong one costs an address and nothing else.
    """

    def __init__(self, *, max_peers: int = MAX_PEERS) -> None:
        if max_peers < 1:
            raise ValueError(f"a book has room for at least one peer, got {max_peers}")
        self._max_peers = max_peers
        self._pages: dict[PeerId, dict[str, int]] = {}
        self._told_by: dict[PeerId, tuple[PeerId, ...]] = {}  # in this life, of the peers in it
        self._failures: dict[tuple[PeerId, str], int] = {}
        self.version = 0
        """Grows with everything that is worth saving."""

    def heard(self, peer: PeerId, addresses: Iterable[str], *, source: PeerId | None = None) -> None:
        """Note where `source`, be it the peer itself, says that it is. What has answered is not pushed out by it.

        source: None where nobody knows any more.
        """
        page = self._pages.get(peer, {})
        new = [address for address in dict.fromkeys(addresses) if address not in page]
        if source is not None and (new or page):
            self._told_by[peer] = tuple(dict.fromkeys((*self._told_by.get(peer, ()), source)))[:MAX_SOURCES]
        if new:
            self._write(peer, {**dict.fromkeys(new[:MAX_ADDRESSES], 0), **page})

    def answered(self, peer: PeerId, address: str, *, unix_s: int) -> None:
        """Note that `peer` proved to be at `address`."""
        self._failures.pop((peer, address), None)
        self._write(peer, {**self._pages.get(peer, {}), address: max(unix_s, 1)})

    def failed(self, peer: PeerId, address: str) -> None:
        """Note a dial that failed; hearsay is forgotten after MAX_FAILURES in a row."""
        page = self._pages.get(peer, {})
        if page.get(address) != 0:
            return
        self._failures[peer, address] = self._failures.get((peer, address), 0) + 1
        if self._failures[peer, address] >= MAX_FAILURES:
            self._failures.pop((peer, address))
            self._write(peer, {known: at for known, at in page.items() if known != address})

    def has_answered(self, peer: PeerId, address: str) -> bool:
        """Return whether `peer` has proved to be at `address`, as far as is still known."""
        return self._pages.get(peer, {}).get(address, 0) > 0

    def entries(self) -> list[KnownAddress]:
        """Return everything, who answered last first."""
        found = [
            KnownAddress(peer, address, answered_at)
            for peer, page in self._pages.items()
            for address, answered_at in page.items()
        ]
        return sorted(found, key=lambda entry: (-entry.answered_at, entry.address, entry.peer))

    def encode(self) -> bytes:
        return _encode(self.entries())

    def load(self, data: bytes) -> None:
        """Add what `encode` gave in an earlier life, which may have taken for an address what is none now.

        Raises: ProtocolError when it is something else.
        """
        try:
            entries = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError("malformed", f"peer book: {error}") from error
        for entry in entries:
            if not is_dialable(entry.address):
                continue
            peer = PeerId(entry.peer)
            if entry.answered_at:
                self.answered(peer, entry.address, unix_s=entry.answered_at)
            else:
                self.heard(peer, [entry.address])

    def _write(self, peer: PeerId, page: dict[str, int]) -> None:
        """Replace a page, cut to its bound, and make room when the book is full."""
        best = sorted(page, key=lambda address: -page[address])[:MAX_ADDRESSES]
        self._pages[peer] = {address: page[address] for address in best}
        if not best:
            del self._pages[peer]
        elif len(self._pages) > self._max_peers:
            del self._pages[self._first_to_go()]
        self._told_by = {other: sources for other, sources in self._told_by.items() if other in self._pages}
        self._failures = {
            (other, place): count
            for (other, place), count in self._failures.items()
            if place in self._pages.get(other, ())
        }
        self.version += 1

    def _first_to_go(self) -> PeerId:
        """Return whom to forget; of those that are alike, who came first."""
        unmet = [peer for peer, page in self._pages.items() if not any(page.values())]
        if not unmet:
            return min(self._pages, key=lambda peer: (max(self._pages[peer].values()), peer))
        told = Counter(source for peer in unmet for source in self._sources_of(peer))
        return max(unmet, key=lambda peer: min(told[source] for source in self._sources_of(peer)))

    def _sources_of(self, peer: PeerId) -> tuple[PeerId | None, ...]:
        return self._told_by.get(peer, (None,))


class BookDiscovery:
    """Every address of the book, with the id that must answer there; ourselves left out."""

    name = "peer book"

    def __init__(self, book: AddressBook, *, me: PeerId) -> None:
        self._book = book
        self._me = me

    async def addresses(self) -> list[str]:
        await trio.lowlevel.checkpoint()
        others = [entry for entry in self._book.entries() if entry.peer != self._me]
        return sorted({with_peer(entry.address, PeerId(entry.peer)) for entry in others})
