"""Identities that run twice: noticed among others and told to both processes, and heard of as one of the two.

Which process a connection leads to is proved by its handshake, so whoever is connected to two of one identity knows.
The newer is served: the one with the higher boot number, of equal ones that with the higher session number. The older
is shown the newer's signed claim against it, and takes no part any more (docs/adr/0051).
"""

from collections.abc import Callable

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Transport
from peer.services.welcome import Welcome
from peer.telemetry.peer_events import IdentityRunsTwice, OwnIdentityRunsTwice
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds, Session
from peer.wire.envelope import Signed, Signer
from peer.wire.messages import PeerCard
from peer.wire.sessions import (
    SESSION_PROTOCOL,
    Claim,
    SessionAnswer,
    SessionQuestion,
    check_claim,
    decode,
    encode,
    make_claim,
)

_FAREWELL_S: Seconds = 2.0
"""Between learning that a newer process has this identity and leaving: others that ask meanwhile get their answer."""
_SHOWN_S: Seconds = 600.0
"""How long `murmur status` marks an identity that ran twice."""
_MAX_SHOWN = 256


def is_newer(card: Signed[PeerCard], other: Signed[PeerCard]) -> bool:
    """Return whether the process of `card` is the one to serve, of two with one identity."""
    return (card.message.boot, card.session) > (other.message.boot, other.session)


class SessionDesk:
    """Notices identities that run twice, tells both processes, and answers such questions.

    welcome: with this peer's own card. request_s: deadline of telling both. newer: who takes our place, if anybody.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        welcome: Welcome,
        signer: Signer,
        sink: EventSink,
        request_s: Seconds,
        newer_boot: Callable[[int], None] = lambda _: None,
    ) -> None:
        """newer_boot: told how often the newer process has been started, at once."""
        self._transport = transport
        self._welcome = welcome
        self._signer = signer
        self._sink = sink
        self._request_s = request_s
        self._newer_boot = newer_boot
        self._settling: set[PeerId] = set()
        self._noticed: dict[PeerId, Seconds] = {}
        self._superseded = trio.Event()
        self.newer: OwnIdentityRunsTwice | None = None

    def open(self) -> None:
        """Answer those who see another process with our identity."""
        self._transport.handle(SESSION_PROTOCOL, self._answer, strangers=True)

    async def superseded(self) -> None:
        """Wait until a newer process is known to run with our identity, and those who ask have been answered."""
        await self._superseded.wait()
        await trio.sleep(_FAREWELL_S)

    def runs_twice(self, peer: PeerId) -> bool:
        """Return whether two processes with this identity were connected here lately."""
        return trio.current_time() - self._noticed.get(peer, -_SHOWN_S) < _SHOWN_S

    async def settle(self, peer: PeerId, *, newer: Signed[PeerCard], older: Signed[PeerCard]) -> None:
        """Tell two connected processes of each other, and part from the older one."""
        if peer in self._settling:
            return
        self._settling.add(peer)
        try:
            self._notice(peer, newer, older)
            with trio.move_on_after(self._request_s):
                await self._introduce(peer, newer.session, older.session)
        except (TransportError, ProtocolError):
            pass  # one of them may hang or be gone, and failure detection will say so; the newer is served all the same
        finally:
            self._settling.discard(peer)
            self._transport.keep_session(peer, newer.session)

    def answered_elsewhere(self, address: str) -> None:
        """Take note that another process answered at `address` with our identity."""
        self._tell(boot=None, name="", addresses=(address,), source=None, leaves=False)

    def _notice(self, peer: PeerId, newer: Signed[PeerCard], older: Signed[PeerCard]) -> None:
        self._noticed.pop(peer, None)
        self._noticed[peer] = trio.current_time()
        while len(self._noticed) > _MAX_SHOWN:
            del self._noticed[next(iter(self._noticed))]
        self._sink.emit(
            IdentityRunsTwice(
                remote=peer,
                boot=newer.message.boot,
                addresses=newer.message.addresses,
                other_boot=older.message.boot,
                other_addresses=older.message.addresses,
            )
        )

    async def _introduce(self, peer: PeerId, newer: Session, older: Session) -> None:
        """Have each sign against the other; first the newer, as its claim is what the older must see."""
        claim = await self._ask(peer, newer, SessionQuestion(older, None))
        claim = await self._ask(peer, older, SessionQuestion(newer, claim))
        await self._ask(peer, newer, SessionQuestion(older, claim))

    async def _ask(self, peer: PeerId, session: Session, question: SessionQuestion) -> Claim:
        data = await self._transport.request(peer, SESSION_PROTOCOL, encode(question), session=session)
        return decode(data, SessionAnswer).claim

    async def _answer(self, peer: PeerId, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        question = decode(data, SessionQuestion)
        own, rival = self._signer.session, Session(question.rival)
        if rival == own:
            raise ProtocolError("bad_claim", "that is this very process")
        if question.claim is not None:
            check_claim(question.claim, peer=self._signer.peer_id, against=own, run=self._welcome.run)
            self._hear(question.claim, source=peer)
        claim = make_claim(self._welcome.card.message, self._signer, against=rival, run=self._welcome.run)
        return encode(SessionAnswer(claim))

    def _hear(self, claim: Claim, *, source: PeerId) -> None:
        leaves = (claim.boot, claim.session) > (self._welcome.card.message.boot, self._signer.session)
        told = self._tell(boot=claim.boot, name=claim.name, addresses=claim.addresses, source=source, leaves=leaves)
        if leaves and self.newer is None:
            self._newer_boot(claim.boot)
            self.newer = told
            self._superseded.set()

    def _tell(
        self, *, boot: int | None, name: str, addresses: tuple[str, ...], source: PeerId | None, leaves: bool
    ) -> OwnIdentityRunsTwice:
        event = OwnIdentityRunsTwice(
            peer_id=self._signer.peer_id,
            boot=self._welcome.card.message.boot,
            other_boot=boot,
            other_name=name,
            addresses=addresses,
            source=source,
            leaves=leaves,
        )
        self._sink.emit(event)
        return event
