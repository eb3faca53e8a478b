"""What comes between a connection and taking part: cards are exchanged, and each side examines the other."""

from collections.abc import Callable

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Transport
from peer.services.admission import AdmissionDesk
from peer.services.card_exchange import CardExchange
from peer.services.greeted_peers import GreetedPeers
from peer.services.partings import Partings
from peer.telemetry.counters import Counters
from peer.types import PeerId, Seconds

_CARD_TRIES = 4
_TRIES = 7
"""Of a greeting, in all; whoever has shown no card after `_CARD_TRIES` is sent away."""
_PAUSE_S: Seconds = 0.5
"""Between two tries: a peer that has just started accepts connections a moment before it answers."""


class Greetings:
    """Those under way, one a peer. Each ends with the peer taken in, sent away, or gone."""

    def __init__(
        self,
        transport: Transport,
        greeted: GreetedPeers,
        *,
        cards: CardExchange,
        desk: AdmissionDesk,
        partings: Partings,
        counters: Counters,
        request_s: Seconds,
        learn: Callable[[PeerId, bytes], None],
    ) -> None:
        """desk: examines whoever's card fits, within `request_s`. learn: told the cards of those that are taken in."""
        self._transport = transport
        self._greeted = greeted
        self._cards = cards
        self._desk = desk
        self._partings = partings
        self._counters = counters
        self._request_s = request_s
        self._learn = learn
        self._hosts: dict[PeerId, str | None] = {}  # of those under way: where each is connected from
        self._shown: dict[PeerId, bytes] = {}  # cards of those under way that asked for ours meanwhile

    def begin(self, peer: PeerId, nursery: trio.Nursery) -> None:
        """Greet a connected peer, unless that is done already or under way."""
        if peer not in self._hosts and peer not in self._greeted:
            self._hosts[peer] = self._transport.remote_host(peer)
            nursery.start_soon(self._greet, peer)

    def host_of(self, peer: PeerId) -> str | None:
        """Return where a peer who is being greeted was connected from; None for others."""
        return self._hosts.get(peer)

    def take_shown(self, peer: PeerId, data: bytes) -> None:
        """Take a card that fits and that its peer has shown by itself: ours may never be answered."""
        if peer in self._hosts:
            self._shown[peer] = data
        if peer in self._greeted:
            self._learn(peer, data)

    async def _greet(self, peer: PeerId) -> None:
        """Take a peer in, or part from it."""
        try:
            if not await self._settle(peer):
                self._counters.add("greetings_failed")
                await self._transport.disconnect(peer)
        except ProtocolError as error:
            await self._partings.part(peer, error, host=self._hosts[peer])
        finally:
            del self._hosts[peer]
            self._shown.pop(peer, None)

    async def _settle(self, peer: PeerId) -> bool:
        """Examine a peer, and take it in if it passes; return False when that did not come to an end while it was here.

        What fails on the way is tried again. Raises: ProtocolError that says why the peer is not taken in.
        """
        answer = b""  # kept from try to try: only what failed is asked again
        for number in range(1, _TRIES + 1):
            try:
                answer = answer or await self._cards.ask(peer)
                card = self._cards.check(peer, answer)
                sessions = self._transport.sessions_of(peer)
                if sessions and card.session not in sessions:
                    answer = b""  # it has been started anew meanwhile
                    raise TransportError("the card is of another process than the one connected")
                if await self._examine(peer):
                    self._greeted.add(peer, card)
                    # Perhaps two: who answers before the connection is known there leaves out its loopback address.
                    for data in dict.fromkeys((answer, self._shown.get(peer, answer))):
                        self._learn(peer, data)
                return True
            except (TransportError, trio.TooSlowError):
                await trio.sleep(_PAUSE_S)
            if peer not in self._transport.connected_peers():
                return True
            answer = answer or self._shown.get(peer, b"")
            if number >= _CARD_TRIES and not answer:
                break
        return False

    async def _examine(self, peer: PeerId) -> bool:
        """Return whether `peer` may take part; else it is told about, and sent away. Raises: as a request."""
        try:
            with trio.fail_after(self._request_s):
                await self._desk.examine(peer)
        except ProtocolError as error:
            await self._partings.part_slowly(peer, error, host=self._hosts[peer])
            return False
        return True
