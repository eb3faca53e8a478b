"""Two processes of one identity among those connected here: a restart, or one key that runs twice."""

from collections.abc import Callable
from functools import partial

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Transport
from peer.services.card_exchange import CardExchange
from peer.services.greeted_peers import GreetedPeers
from peer.services.partings import Partings
from peer.services.sessions import SessionDesk, is_newer
from peer.types import PeerId, Session
from peer.wire.envelope import Signed
from peer.wire.messages import PeerCard


class TwinWatch:
    """Finds out about second processes of greeted peers, and has the newer of the two served."""

    def __init__(
        self,
        transport: Transport,
        greeted: GreetedPeers,
        *,
        cards: CardExchange,
        partings: Partings,
        sessions: SessionDesk,
        greet: Callable[[PeerId, trio.Nursery], None],
    ) -> None:
        """sessions: told of identities that run twice. greet: greets a process that takes over."""
        self._transport = transport
        self._greeted = greeted
        self._cards = cards
        self._partings = partings
        self._sessions = sessions
        self._greet = greet
        self._looking: set[Session] = set()

    def look_at(self, peer: PeerId, session: Session, nursery: trio.Nursery) -> None:
        """Ask a second process that is connected as a greeted peer for its card, and compare the two."""
        if session not in self._looking:
            self._looking.add(session)
            nursery.start_soon(self._look, peer, session, nursery)

    def compare(self, peer: PeerId, shown: Signed[PeerCard], nursery: trio.Nursery) -> None:
        """Serve the newer process, if the card that was shown is of another connected one than the greeted."""
        known, connected = self._greeted.card_of(peer), self._transport.sessions_of(peer)
        if known is None or shown.session == known.session or shown.session not in connected:
            return
        if known.session in connected and is_newer(known, shown):
            nursery.start_soon(partial(self._sessions.settle, peer, newer=known, older=shown))
            return
        self._greeted.remove(peer, f"started anew as boot {shown.message.boot}")
        self._transport.keep_session(peer, shown.session)  # one that lives on all the same comes back, and is noticed
        self._greet(peer, nursery)

    async def _look(self, peer: PeerId, session: Session, nursery: trio.Nursery) -> None:
        try:
            data = await self._cards.ask(peer, session=session)
            self.compare(peer, self._cards.check(peer, data), nursery)
        except (TransportError, trio.TooSlowError):
            return  # if it is there, the next look will tell
        except ProtocolError as error:
            self._partings.tell(peer, error)
            known = self._greeted.card_of(peer)
            if known is not None:
                self._transport.keep_session(peer, known.session)
        finally:
            self._looking.discard(session)
