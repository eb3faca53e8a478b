"""How a peer becomes known and reachable: its peer book, peer exchange and dial-back, put together."""

from typing import Never

import trio

from peer.network.discovery.book import AddressBook
from peer.network.transport import Transport
from peer.services.book_keeping import BookKeeper
from peer.services.dial_back import DialBackDesk
from peer.services.peer_exchange import PeerExchange
from peer.services.reachability import Reachability
from peer.services.service import TaskStatus
from peer.types import PeerId
from peer.wire.sync import DIAL_BACK_PROTOCOL


class Meeting:
    """The services by which others learn of us and we of them. keeper: of the book, None where it is not kept."""

    def __init__(
        self,
        transport: Transport,
        book: AddressBook,
        *,
        exchange: PeerExchange,
        desk: DialBackDesk,
        reachability: Reachability,
        keeper: BookKeeper | None,
    ) -> None:
        self.book = book
        self._transport = transport
        self._exchange = exchange
        self._desk = desk
        self._reachability = reachability
        self._keeper = keeper

    @property
    def reached(self) -> tuple[str, ...] | None:
        """Return where others have found us; () when they could not, None while nobody has told."""
        return self._reachability.reached

    def learn(self, peer: PeerId, card: bytes) -> None:
        """Take note of the card that a peer shows for itself. Raises: ProtocolError when it is not signed by it."""
        self._exchange.learn(card, source=peer)

    def moved(self) -> None:
        """Find out anew whether others can reach us: our addresses have changed."""
        self._reachability.moved()

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
