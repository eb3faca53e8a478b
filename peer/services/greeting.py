"""Who takes part and is reachable right now: connections are followed, and whoever is behind them is greeted."""

from collections.abc import Callable
from typing import Never

import trio

from peer.errors import ProtocolError
from peer.network.transport import (
    AcceptFailed,
    ConnectionsTaken,
    GossipFailing,
    PeerConnected,
    PeerDisconnected,
    Transport,
    TransportEvent,
)
from peer.services.admission import AdmissionDesk
from peer.services.card_exchange import CardExchange
from peer.services.departures import Departures
from peer.services.greeted_peers import GreetedPeers, PeersObserver
from peer.services.greetings import Greetings
from peer.services.partings import Partings
from peer.services.service import TaskStatus
from peer.services.sessions import SessionDesk
from peer.services.twin_watch import TwinWatch
from peer.services.welcome import Welcome
from peer.telemetry import connection_events
from peer.telemetry.counters import Counters
from peer.telemetry.names import NameBook
from peer.telemetry.peer_events import GossipInterrupted
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.sync import CARD_PROTOCOL

_RECONCILE_S: Seconds = 1.0


class Greeter:
    """Exchanges cards with everyone who connects; disconnects those who do not fit, and says why."""

    def __init__(
        self,
        transport: Transport,
        welcome: Welcome,
        *,
        sink: EventSink,
        names: NameBook,
        counters: Counters,
        request_s: Seconds,
        learn: Callable[[PeerId, bytes], None],
        desk: AdmissionDesk,
        sessions: SessionDesk,
    ) -> None:
        """learn: told the card of each peer that is taken in.

        desk: examines whoever's card fits. sessions: told of identities that run twice.
        """
        self._transport = transport
        self._sink = sink
        self._desk = desk
        self._sessions = sessions
        self._cards = CardExchange(transport, welcome, request_s=request_s)
        self._partings = Partings(transport, sink=sink, counters=counters)
        self._greeted = GreetedPeers(transport, sink=sink, names=names, counters=counters)
        self._greetings = Greetings(
            transport,
            self._greeted,
            cards=self._cards,
            desk=desk,
            partings=self._partings,
            counters=counters,
            request_s=request_s,
            learn=learn,
        )
        self._twins = TwinWatch(
            transport,
            self._greeted,
            cards=self._cards,
            partings=self._partings,
            sessions=sessions,
            greet=self._greetings.begin,
        )
        self._nursery: trio.Nursery | None = None

    def add_observers(self, *observers: PeersObserver) -> None:
        """Tell these of every change from now on, after those that were added before."""
        self._greeted.add_observers(*observers)

    @property
    def greeted(self) -> frozenset[PeerId]:
        return self._greeted.peers

    @property
    def departures(self) -> Departures:
        return self._greeted.departures

    def boot_of(self, peer: PeerId) -> int | None:
        """Return the boot number on the card of a greeted peer, None for others."""
        card = self._greeted.card_of(peer)
        return card.message.boot if card else None

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Follow the connections until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._greeted.admit()
            self._sessions.open()
            self._transport.handle(CARD_PROTOCOL, self._answer_card, strangers=True)
            self._desk.open()
            nursery.start_soon(self._reconcile, nursery)
            nursery.start_soon(self._partings.serve, lambda peer: peer in self._greeted)
            task_status.started()
            async for event in self._transport.events:
                self._take(event, nursery)
            await trio.sleep_forever()
        raise AssertionError("the loops above never end")

    def reconsider(self) -> None:
        """Take leave of those who may not take part any more: a new allow-list or a proof says so."""
        for peer in sorted(self.greeted):
            objection = self._desk.objection(peer)
            if objection is not None:
                self._partings.expel(peer, objection)
                self._greeted.remove(
                    peer, "not on the allow-list any more" if objection.reason == "not_allowed" else objection.detail
                )

    def show_anew(self) -> None:
        """Show our card, which has changed, to all that are connected; whoever comes later sees it anyhow."""
        assert self._nursery is not None, "peers are greeted while serving"
        for peer in sorted(self.greeted):
            self._nursery.start_soon(self._cards.show, peer)

    async def give_up(self, peer: PeerId, cause: str) -> None:
        """Count a peer that does not answer as gone, and close its connection; it may come back by a new one."""
        self._greeted.remove(peer, cause)
        await self._transport.disconnect(peer)

    async def _answer_card(self, peer: PeerId, data: bytes) -> bytes:
        """Show our card even to a stranger: only so it can tell its user what does not fit."""
        assert self._nursery is not None, "peers are greeted while serving"
        await trio.lowlevel.checkpoint()
        try:
            self._twins.compare(peer, self._cards.check(peer, data), self._nursery)
            self._greetings.take_shown(peer, data)
        except ProtocolError as error:
            self._partings.tell(peer, error, host=self._greetings.host_of(peer))
        return self._cards.own(peer)

    def _take(self, event: TransportEvent, nursery: trio.Nursery) -> None:
        match event:
            case PeerConnected():
                self._greetings.begin(event.peer, nursery)
            case PeerDisconnected(stopped=True):
                self._greeted.remove_stopped(event.peer)
            case PeerDisconnected():
                self._greeted.remove(event.peer, event.cause)
            case GossipFailing():
                self._note_deaf(event)
            case ConnectionsTaken(connections=connections, strangers=strangers):
                self._sink.emit(connection_events.ConnectionsTaken(connections=connections, strangers=strangers))
            case AcceptFailed(cause=cause):
                self._sink.emit(connection_events.AcceptFailed(cause=cause))

    async def _reconcile(self, nursery: trio.Nursery) -> Never:
        """Events may be lost when their queue is full; what is connected is the truth.

        The event of an end that was seen just now may be on its way still, and knows more.
        """
        missed: frozenset[PeerId] = frozenset()
        while True:
            await trio.sleep(_RECONCILE_S)
            connected = self._transport.connected_peers()
            for peer, card in self._greeted.cards():
                sessions = self._transport.sessions_of(peer)
                if card.session not in sessions and (sessions or peer in missed):
                    self._greeted.remove(peer, "the connection ended")
                for session in sessions - {card.session}:
                    self._twins.look_at(peer, session, nursery)
            missed = self.greeted - connected
            for peer in connected - self.greeted:
                self._greetings.begin(peer, nursery)

    def _note_deaf(self, event: GossipFailing) -> None:
        """Tell of a peer that cannot be gossiped to; one that is not admitted, or not any more, shall not be."""
        if event.peer in self._greeted:
            self._sink.emit(GossipInterrupted(remote=event.peer, failures=event.failures, cause=event.cause))
