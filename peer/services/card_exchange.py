"""Cards on their way: ours to another peer, and its to us."""

from contextlib import suppress

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Transport
from peer.services.welcome import Welcome
from peer.types import PeerId, Seconds, Session
from peer.wire.envelope import Signed
from peer.wire.messages import PeerCard
from peer.wire.sync import CARD_PROTOCOL


class CardExchange:
    """Shows our card, which may change at any time, and asks for those of others."""

    def __init__(self, transport: Transport, welcome: Welcome, *, request_s: Seconds) -> None:
        """request_s: deadline of asking for one card."""
        self._transport = transport
        self._welcome = welcome
        self._request_s = request_s

    def own(self, peer: PeerId) -> bytes:
        """Return our card as `peer` is to see it."""
        return self._welcome.card_for(remote_host=self._transport.remote_host(peer)).data

    def check(self, peer: PeerId, data: bytes) -> Signed[PeerCard]:
        """Return the card of `peer`. Raises: ProtocolError with what does not fit ours, and what to do about it."""
        return self._welcome.check(peer, data)

    async def ask(self, peer: PeerId, *, session: Session | None = None) -> bytes:
        """Show ours, and return its, unchecked. session: of the process to ask, where several are connected.

        Raises: TransportError; ProtocolError; trio.TooSlowError.
        """
        with trio.fail_after(self._request_s):
            return await self._transport.request(peer, CARD_PROTOCOL, self.own(peer), session=session)

    async def show(self, peer: PeerId) -> None:
        """Show ours to a peer that has seen an earlier one; if it cannot be reached, it sees this one another time."""
        with suppress(TransportError, ProtocolError, trio.TooSlowError):
            await self.ask(peer)
