"""The cards by which peers introduce themselves: what we show whom, and whether another's fits ours."""

from dataclasses import dataclass

from peer.config.digest import differing_sections
from peer.errors import ProtocolError
from peer.network.announce import is_loopback
from peer.peer_ids import short
from peer.types import PeerId
from peer.wire.envelope import Signed, open_as
from peer.wire.messages import PeerCard


@dataclass(slots=True, kw_only=True)
class Welcome:
    """The cards by which this peer introduces itself: others when its addresses change, so nobody keeps a copy of one.

    run: run id. card: this peer's own, for everybody. The other's must name the same config and schema.

    local: for peers on this machine, with its loopback address; None: the same.
    """

    run: bytes
    card: Signed[PeerCard]
    local: Signed[PeerCard] | None = None

    def card_for(self, *, remote_host: str | None) -> Signed[PeerCard]:
        """Return the card that a peer at `remote_host` is to see: our loopback address is for peers on loopback."""
        return self.local if self.local is not None and is_loopback(remote_host) else self.card

    def check(self, peer: PeerId, data: bytes) -> Signed[PeerCard]:
        """Return the card of `peer`. Raises: ProtocolError with what does not fit and what to do about it."""
        signed = self._open(data)
        if signed.peer != peer:
            raise ProtocolError("identity", f"connected as {short(peer)}, shows the card of {short(signed.peer)}")
        card, own = signed.message, self.card.message
        if card.schema != own.schema:
            raise ProtocolError("schema", "its model has another shape: give both the same env and model settings")
        if card.config != own.config:
            sections = differing_sections(own.sections, card.sections)
            where = f", in {', '.join(sections)}" if sections else ""
            raise ProtocolError(
                "config", f"its configuration differs in a key marked (=) in configs/config.yaml{where}"
            )
        return signed

    def _open(self, data: bytes) -> Signed[PeerCard]:
        try:
            return open_as(data, PeerCard, run=self.run)
        except ProtocolError as error:
            if error.reason == "run":
                raise ProtocolError("run", "it is of a run of another name: give both the same run.name") from error
            raise
