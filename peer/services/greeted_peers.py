"""The peers that may take part and are connected: their cards, and who is told when one comes or goes."""

from typing import Protocol

import trio

from peer.network.transport import STOPPED, Transport
from peer.services.departures import Departure, Departures
from peer.telemetry.counters import Counters
from peer.telemetry.names import NameBook
from peer.telemetry.peer_events import PeerJoined, PeerLeft, PeerStopped
from peer.telemetry.sink import EventSink
from peer.types import PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import PeerCard


class PeersObserver(Protocol):
    """Whoever wants to know which peers are connected and were admitted. Must not block."""

    def reachable(self, peers: frozenset[PeerId], /) -> None: ...


class GreetedPeers:
    """Cards by peer. The transport serves these peers alone."""

    def __init__(self, transport: Transport, *, sink: EventSink, names: NameBook, counters: Counters) -> None:
        self._transport = transport
        self._sink = sink
        self._names = names
        self._counters = counters
        self.departures = Departures()
        self._observers: tuple[PeersObserver, ...] = ()
        self._cards: dict[PeerId, Signed[PeerCard]] = {}

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._cards

    @property
    def peers(self) -> frozenset[PeerId]:
        return frozenset(self._cards)

    def card_of(self, peer: PeerId) -> Signed[PeerCard] | None:
        return self._cards.get(peer)

    def cards(self) -> list[tuple[PeerId, Signed[PeerCard]]]:
        """Return a copy: peers may come and go while it is gone through."""
        return list(self._cards.items())

    def add_observers(self, *observers: PeersObserver) -> None:
        """Tell these of every change from now on, after those that were added before."""
        self._observers += observers

    def add(self, peer: PeerId, card: Signed[PeerCard]) -> None:
        """Serve a peer from now on, and say so; one that is not connected any more is left out."""
        if peer not in self._transport.connected_peers():
            return
        self._names.learn(peer, card.message.name)
        self._cards[peer] = card
        self.departures.forget(peer)
        self.admit()
        self._sink.emit(PeerJoined(remote=peer, boot=card.message.boot, peers=len(self._cards) + 1))
        self._tell_observers()

    def remove(self, peer: PeerId, cause: str) -> None:
        """Serve a peer no longer, and say why; does nothing for one that is not among them."""
        if peer in self._cards:
            self._counters.add("peers_lost")
            self._take_out(Departure(peer=peer, at=trio.current_time(), cause=cause, stopped=False))
            self._sink.emit(PeerLeft(remote=peer, cause=cause, peers=len(self._cards) + 1))
            self._tell_observers()

    def remove_stopped(self, peer: PeerId) -> None:
        """As `remove`, for a peer that said goodbye."""
        if peer in self._cards:
            self._counters.add("peers_stopped")
            self._take_out(Departure(peer=peer, at=trio.current_time(), cause=STOPPED, stopped=True))
            self._sink.emit(PeerStopped(remote=peer, peers=len(self._cards) + 1))
            self._tell_observers()

    def admit(self) -> None:
        """Have the transport serve exactly these peers."""
        self._transport.admit(self.peers)

    def _take_out(self, departure: Departure) -> None:
        del self._cards[departure.peer]
        self.admit()
        self.departures.note(departure)

    def _tell_observers(self) -> None:
        for observer in self._observers:
            observer.reachable(self.peers)
