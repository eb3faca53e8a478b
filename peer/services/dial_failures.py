"""What is told of dials that fail: seldom enough to read, even where nobody answers for a whole night."""

from peer.addresses import split_peer
from peer.telemetry.peer_events import DialFailed, DialRetried
from peer.telemetry.sink import EventSink
from peer.types import Seconds

_PATIENCE = 4
"""Failed dials in a row before anybody is told: about four seconds, in which the others may still be starting."""


class DialFailures:
    """Tells the fourth failure in a row at a place, and then whenever their number has doubled.

    A place is an address without the peer's id: one source may name it with the id, and another without.
    """

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._told: dict[str, int] = {}  # by place: after how many failures it was told last

    def tell(self, address: str, cause: str, *, failures: int, retry_s: Seconds) -> None:
        """Tell of the last of so many failures in a row; the next dial is in retry_s."""
        place, remote = split_peer(address)
        if _is_told_after(failures) and failures > self._told.get(place, 0):
            self._told[place] = failures
            self._sink.emit(DialFailed(address=address, remote=remote, cause=cause, retry_s=retry_s, failures=failures))
        else:
            self._sink.emit(DialRetried(address=address, remote=remote, cause=cause, retry_s=retry_s))

    def succeeded(self, place: str) -> None:
        self._told.pop(place, None)

    def retain(self, places: set[str]) -> None:
        """Forget all other places."""
        self._told = {place: failures for place, failures in self._told.items() if place in places}


def _is_told_after(failures: int) -> bool:
    multiple, rest = divmod(failures, _PATIENCE)
    return rest == 0 and multiple.bit_count() == 1  # 1, 2, 4, 8... times the patience
