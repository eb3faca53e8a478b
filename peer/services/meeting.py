"""How a peer becomes known and reachable: its cards, its peer book, peer exchange and dial-back, put together."""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import trio

from peer.network.announce import is_loopback
from peer.network.discovery.book import AddressBook
from peer.network.transport import Transport
from peer.services.book_keeping import BookKeeper
from peer.services.peer_exchange import PeerExchange
from peer.services.reachability import DialBackDesk, Reachability
from peer.services.service import RunBlocking, TaskStatus
from peer.telemetry.counters import Counters
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.envelope import Signed
from peer.wire.messages import PeerCard
from peer.wire.sync import DIAL_BACK_PROTOCOL


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """One peer's two cards. public: for everybody. local: for peers on this machine, with its loopback address."""

    public: Signed[PeerCard]
    local: Signed[PeerCard]


class Meeting:
    """The services by which others learn of us and we of them. Peers are told apart by `take_greeted_from`."""

    def __init__(
        self,
        transport: Transport,
        *,
        cards: Cards,
        run: bytes,
        book_file: Path | None,
        sink: EventSink,
        counters: Counters,
        rng: random.Random,
        blocking: RunBlocking,
        exchange_s: Seconds,
        request_s: Seconds,
    ) -> None:
        self.cards = cards
        self.book = AddressBook()
        self._transport = transport
        self._greeted: Callable[[], Collection[PeerId]] = frozenset
        self._keeper = None if book_file is None else BookKeeper(self.book, book_file, sink=sink, blocking=blocking)
        if self._keeper is not None:
            self._keeper.load()
        self._exchange = PeerExchange(
            transport,
            self.book,
            own=cards.public,
            run=run,
            greeted=self._who_is_greeted,
            sink=sink,
            counters=counters,
            rng=rng,
            every_s=exchange_s,
            request_s=request_s,
        )
        self._desk = DialBackDesk(transport, run=run, admitted=self._who_is_greeted)
        self._reachability = Reachability(
            transport,
            card_for=self.card_for,
            greeted=self._who_is_greeted,
            sink=sink,
            counters=counters,
            rng=rng,
        )

    @property
    def reached(self) -> tuple[str, ...] | None:
        """Return where others have found us; () when they could not, None while nobody has told."""
        return self._reachability.reached

    def take_greeted_from(self, greeted: Callable[[], Collection[PeerId]]) -> None:
        """Say who counts as admitted. Before that nobody does."""
        self._greeted = greeted

    def card_for(self, peer: PeerId) -> Signed[PeerCard]:
        """Return the card that `peer` is to see: our loopback address is for peers on loopback."""
        return self.cards.local if is_loopback(self._transport.remote_host(peer)) else self.cards.public

    def learn(self, peer: PeerId, card: bytes) -> None:
        """Take note of the card that a peer shows for itself. Raises: ProtocolError when it is not signed by it."""
        self._exchange.learn(card, source=peer)

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        async with trio.open_nursery() as nursery:
            self._transport.handle(DIAL_BACK_PROTOCOL, self._desk.answer)
            await nursery.start(self._exchange.serve)
            await nursery.start(self._reachability.serve)
            if self._keeper is not None:
                await nursery.start(self._keeper.serve)
            task_status.started()
            await trio.sleep_forever()
        raise AssertionError("the services above never end")

    async def save(self) -> None:
        """Write the peer book, if there is a place for it."""
        if self._keeper is not None:
            await self._keeper.save()

    def _who_is_greeted(self) -> Collection[PeerId]:
        return self._greeted()
