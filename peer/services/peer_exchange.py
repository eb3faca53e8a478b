"""Peer exchange: everybody tells everybody whom they are connected to, by signed cards, so that any peer is a seed."""

import random
from collections.abc import Callable, Collection
from typing import Never

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.announce import may_pass_on
from peer.network.discovery.book import AddressBook
from peer.network.transport import Transport
from peer.services.refusals import tell_refused
from peer.services.service import TaskStatus
from peer.services.welcome import Welcome
from peer.telemetry.counters import Counters
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.envelope import Signed, open_as
from peer.wire.messages import PeerCard
from peer.wire.sync import MAX_PASSED_CARDS, PEERS_PROTOCOL, PeersResponse, decode, encode

_LOOK_S = 0.5
_SEEN_CARDS = 1024
_TELLERS = 4
"""Who may tell of a card, once each: one that told first and then had it displaced is not the only one to be heard."""


class PeerExchange:
    """Asks each newly greeted peer at once, and a random one every `every_s`; answers with the cards of the greeted.

    A card is passed on while its peer is connected here, so that no card outlives its peer by more than one hop; and
    whole, since it is signed: one that names loopback goes to peers on loopback only.
    """

    def __init__(
        self,
        transport: Transport,
        book: AddressBook,
        *,
        welcome: Welcome,
        greeted: Callable[[], Collection[PeerId]],
        sink: EventSink,
        counters: Counters,
        rng: random.Random,
        every_s: Seconds,
        request_s: Seconds,
    ) -> None:
        self._transport = transport
        self._book = book
        self._welcome = welcome
        self._greeted = greeted
        self._sink = sink
        self._counters = counters
        self._rng = rng
        self._every_s = every_s
        self._request_s = request_s
        self._cards: dict[PeerId, list[Signed[PeerCard]]] = {}  # what the greeted show of themselves
        self._seen: dict[bytes, tuple[Signed[PeerCard], frozenset[PeerId]]] = {}  # the last ones opened, and who told
        self._asked: set[PeerId] = set()  # of the greeted

    def learn(self, data: bytes, *, source: PeerId) -> None:
        """Take in a card that `source` gave us, its own or another's.

        Raises: ProtocolError when the card is not signed by who it names, or is of another run.
        """
        known, tellers = self._seen.get(data, (None, frozenset()))
        signed = known or open_as(data, PeerCard, run=self._welcome.run)
        self._seen[data] = signed, tellers | {source} if len(tellers) < _TELLERS else tellers
        if len(self._seen) > _SEEN_CARDS:
            del self._seen[next(iter(self._seen))]
        card, own = signed.message, self._welcome.card.message
        if signed.peer == self._welcome.card.peer or (card.config, card.schema) != (own.config, own.schema):
            return
        if source == signed.peer:
            self._keep(signed)
        elif source in tellers or len(tellers) >= _TELLERS:
            return  # what led nowhere must not come back with every exchange
        remote = self._transport.remote_host(source)
        addresses = [each for each in card.addresses if may_pass_on(each, remote_host=remote)]
        self._book.heard(signed.peer, addresses, source=source)

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        self._transport.handle(PEERS_PROTOCOL, self._answer)
        task_status.started()
        next_turn = trio.current_time() + self._every_s
        while True:
            await trio.sleep(_LOOK_S)
            greeted = frozenset(self._greeted())
            self._asked &= greeted
            self._cards = {peer: cards for peer, cards in self._cards.items() if peer in greeted}
            for peer in sorted(greeted - self._asked):
                self._asked.add(peer)
                await self._ask(peer)
            if trio.current_time() >= next_turn:
                next_turn = trio.current_time() + self._every_s * self._rng.uniform(0.75, 1.25)
                if greeted:
                    await self._ask(self._rng.choice(sorted(greeted)))

    def _keep(self, signed: Signed[PeerCard]) -> None:
        """Hold a peer's own cards of its latest life: the last one with loopback, and the last one without."""
        cards = self._cards.get(signed.peer, [])
        if any(card.message.boot > signed.message.boot for card in cards):
            return
        current = [card for card in cards if card.message.boot == signed.message.boot]
        others = [card for card in current if _is_local(card.message) != _is_local(signed.message)]
        self._cards[signed.peer] = [*others, signed]

    async def _ask(self, peer: PeerId) -> None:
        try:
            with trio.fail_after(self._request_s):
                answer = await self._transport.request(peer, PEERS_PROTOCOL, b"")
            for data in decode(answer, PeersResponse).cards:
                self.learn(data, source=peer)
        except (TransportError, trio.TooSlowError):
            self._counters.add("peer_exchanges_failed")  # the next turn asks somebody else
        except ProtocolError as error:
            tell_refused(error, peer, counters=self._counters, sink=self._sink)

    async def _answer(self, peer: PeerId, data: bytes) -> bytes:
        if data:
            raise ProtocolError("oversize", f"a request for peers is empty, got {len(data)} bytes")
        if peer not in self._greeted():  # who was not let in learns nothing of the others
            return encode(PeersResponse(()))
        remote = self._transport.remote_host(peer)
        others = [other for other in self._cards if other != peer and other in self._greeted()]
        cards = [self._welcome.card.data]
        for other in self._rng.sample(others, len(others)):
            cards += [card.data for card in self._cards[other] if _fits(card.message, remote)]
        return encode(PeersResponse(tuple(cards[:MAX_PASSED_CARDS])))


def _is_local(card: PeerCard) -> bool:
    """Return whether a card is for peers on the machine of its owner."""
    return not all(may_pass_on(each, remote_host=None) for each in card.addresses)


def _fits(card: PeerCard, remote_host: str | None) -> bool:
    return bool(card.addresses) and all(may_pass_on(each, remote_host=remote_host) for each in card.addresses)
