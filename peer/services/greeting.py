"""The handshake of peers: who is allowed to take part, and who is reachable right now."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Never

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import (
    ConnectionsTaken,
    GossipFailing,
    PeerConnected,
    PeerDisconnected,
    Transport,
    TransportEvent,
)
from peer.services.admission import AdmissionDesk
from peer.services.departures import Departures
from peer.services.greeted_peers import GreetedPeers, PeersObserver
from peer.services.service import TaskStatus
from peer.services.sessions import SessionDesk, is_newer
from peer.services.welcome import Welcome
from peer.telemetry import connection_events
from peer.telemetry.counters import Counters
from peer.telemetry.names import NameBook
from peer.telemetry.peer_events import GossipInterrupted, PeerRefused
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds, Session
from peer.wire.envelope import Signed
from peer.wire.messages import PeerCard
from peer.wire.sync import CARD_PROTOCOL

_CARD_TRIES = 4
_TRIES = 7
"""Of a greeting, in all; whoever has shown no card after `_CARD_TRIES` is sent away."""
_PAUSE_S = 0.5
"""Between two tries: a peer that has just started accepts connections a moment before it answers."""

_RECONCILE_S = 1.0
_FAREWELL_S = 0.5
"""Between refusing a peer and closing its connection: so that it can find out for itself what is wrong, and say so."""


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
        self._welcome = welcome
        self._sink = sink
        self._counters = counters
        self._request_s = request_s
        self._learn = learn
        self._desk = desk
        self._sessions = sessions
        self._greeted = GreetedPeers(transport, sink=sink, names=names, counters=counters)
        self._greeting: dict[PeerId, str | None] = {}  # with where each is connected from
        self._shown: dict[PeerId, bytes] = {}  # cards of those in `_greeting` that asked for ours meanwhile
        self._nursery: trio.Nursery | None = None
        self._looking: set[Session] = set()
        self._expelled: list[PeerId] = []
        self._has_expelled = trio.Event()

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
            nursery.start_soon(self._disconnect_expelled)
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
                self._report(peer, objection)
                self._greeted.remove(
                    peer, "not on the allow-list any more" if objection.reason == "not_allowed" else objection.detail
                )
                self._expelled.append(peer)
        self._has_expelled.set()

    def show_anew(self) -> None:
        """Show our card, which has changed, to all that are connected; whoever comes later sees it anyhow."""
        assert self._nursery is not None, "peers are greeted while serving"
        for peer in sorted(self.greeted):
            self._nursery.start_soon(self._show, peer)

    async def give_up(self, peer: PeerId, cause: str) -> None:
        """Count a peer that does not answer as gone, and close its connection; it may come back by a new one."""
        self._greeted.remove(peer, cause)
        await self._transport.disconnect(peer)

    # Connections

    def _take(self, event: TransportEvent, nursery: trio.Nursery) -> None:
        match event:
            case PeerConnected():
                self._greet_once(event.peer, nursery)
            case PeerDisconnected(stopped=True):
                self._greeted.remove_stopped(event.peer)
            case PeerDisconnected():
                self._greeted.remove(event.peer, event.cause)
            case GossipFailing():
                self._note_deaf(event)
            case ConnectionsTaken(connections=connections, strangers=strangers):
                self._sink.emit(connection_events.ConnectionsTaken(connections=connections, strangers=strangers))

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
                for session in sessions - {card.session} - self._looking:
                    self._looking.add(session)
                    nursery.start_soon(self._look_at_other, peer, session)
            missed = self.greeted - connected
            for peer in connected - self.greeted:
                self._greet_once(peer, nursery)

    def _note_deaf(self, event: GossipFailing) -> None:
        """Tell of a peer that cannot be gossiped to; one that is not admitted, or not any more, shall not be."""
        if event.peer in self._greeted:
            self._sink.emit(GossipInterrupted(remote=event.peer, failures=event.failures, cause=event.cause))

    # Greeting

    def _greet_once(self, peer: PeerId, nursery: trio.Nursery) -> None:
        if peer not in self._greeting and peer not in self._greeted:
            self._greeting[peer] = self._transport.remote_host(peer)
            nursery.start_soon(self._greet, peer)

    async def _greet(self, peer: PeerId) -> None:
        """Take a peer in, or part from it."""
        try:
            if not await self._settle(peer):
                self._counters.add("greetings_failed")
                await self._transport.disconnect(peer)
        except ProtocolError as error:
            await self._refuse(peer, error)
        finally:
            del self._greeting[peer]
            self._shown.pop(peer, None)

    async def _settle(self, peer: PeerId) -> bool:
        """Examine a peer, and take it in if it passes; return False when that did not come to an end while it was here.

        What fails on the way is tried again. Raises: ProtocolError that says why the peer is not taken in.
        """
        answer = b""  # kept from try to try: only what failed is asked again
        for number in range(1, _TRIES + 1):
            try:
                answer = answer or await self._ask_for_card(peer)
                card = self._welcome.check(peer, answer)
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

    async def _ask_for_card(self, peer: PeerId, *, session: Session | None = None) -> bytes:
        """Show ours, and return its. Raises: TransportError; TooSlowError."""
        with trio.fail_after(self._request_s):
            return await self._transport.request(peer, CARD_PROTOCOL, self._own_card(peer), session=session)

    async def _examine(self, peer: PeerId) -> bool:
        """Return whether `peer` may take part; else it is told about, and sent away. Raises: as a request."""
        try:
            with trio.fail_after(self._request_s):
                await self._desk.examine(peer)
        except ProtocolError as error:
            self._report(peer, error)
            await trio.sleep(_FAREWELL_S)
            await self._transport.disconnect(peer)
            return False
        return True

    async def _answer_card(self, peer: PeerId, data: bytes) -> bytes:
        """Show our card even to a stranger: only so it can tell its user what does not fit."""
        await trio.lowlevel.checkpoint()
        try:
            shown = self._welcome.check(peer, data)
            self._compare(peer, shown)
            if peer in self._greeting:
                self._shown[peer] = data
            if peer in self._greeted:
                self._learn(peer, data)
        except ProtocolError as error:
            self._report(peer, error)
        return self._own_card(peer)

    def _own_card(self, peer: PeerId) -> bytes:
        return self._welcome.card_for(remote_host=self._transport.remote_host(peer)).data

    # Two processes of one identity

    async def _look_at_other(self, peer: PeerId, session: Session) -> None:
        """Find out about a second process that is connected as a greeted peer."""
        try:
            data = await self._ask_for_card(peer, session=session)
            self._compare(peer, self._welcome.check(peer, data))
        except (TransportError, trio.TooSlowError):
            return  # if it is there, the next look will tell
        except ProtocolError as error:
            self._report(peer, error)
            known = self._greeted.card_of(peer)
            if known is not None:
                self._transport.keep_session(peer, known.session)
        finally:
            self._looking.discard(session)

    def _compare(self, peer: PeerId, shown: Signed[PeerCard]) -> None:
        """Serve the newer of two connected processes of one identity: a restart, or one key that runs twice."""
        known, connected = self._greeted.card_of(peer), self._transport.sessions_of(peer)
        if known is None or shown.session == known.session or shown.session not in connected:
            return
        assert self._nursery is not None, "peers are greeted while serving"
        if known.session in connected and is_newer(known, shown):
            self._nursery.start_soon(partial(self._sessions.settle, peer, newer=known, older=shown))
            return
        self._greeted.remove(peer, f"started anew as boot {shown.message.boot}")
        self._transport.keep_session(peer, shown.session)  # one that lives on all the same comes back, and is noticed
        self._greet_once(peer, self._nursery)

    async def _show(self, peer: PeerId) -> None:
        with suppress(TransportError, ProtocolError, trio.TooSlowError):
            await self._ask_for_card(peer)

    # Parting

    async def _refuse(self, peer: PeerId, error: ProtocolError) -> None:
        self._report(peer, error)
        await self._transport.disconnect(peer)

    def _report(self, peer: PeerId, error: ProtocolError) -> None:
        self._counters.refuse(error.reason)
        host = self._transport.remote_host(peer) or self._greeting.get(peer)  # it may be gone already
        self._sink.emit(PeerRefused(remote=peer, host=host, reason=error.reason, detail=error.detail))

    async def _disconnect_expelled(self) -> Never:
        while True:
            await self._has_expelled.wait()
            self._has_expelled = trio.Event()
            await trio.sleep(_FAREWELL_S)
            while self._expelled:
                peer = self._expelled.pop()
                if peer not in self._greeted:  # it may be back already, by a still newer list
                    await self._transport.disconnect(peer)
