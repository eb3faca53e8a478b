"""What another peer sent that does not hold: counted, and told."""

from peer.errors import ProtocolError
from peer.rounds.effects import Refused
from peer.telemetry.counters import Counters
from peer.telemetry.peer_events import MessageRefused
from peer.telemetry.sink import EventSink
from peer.types import PeerId


def tell_refused(found: ProtocolError | Refused, peer: PeerId, *, counters: Counters, sink: EventSink) -> None:
    """peer: whose doing it is. The log tells the same of a peer ever more seldom; the counters miss nothing."""
    counters.refuse(found.reason)
    sink.emit(MessageRefused(remote=peer, reason=found.reason, detail=found.detail))
