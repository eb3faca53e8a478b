"""The peers that have gone lately, and how: for those who look after an alarm."""

from dataclasses import dataclass

from peer.types import PeerId, Seconds

SHOWN_S: Seconds = 600.0
MAX_SHOWN = 64
"""Beyond it the longest gone is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """stopped: the peer said goodbye; else `cause` is all that is known."""

    peer: PeerId
    at: Seconds
    cause: str
    stopped: bool


class Departures:
    """Each peer's last departure, until it is back or SHOWN_S have passed."""

    def __init__(self) -> None:
        self._by_peer: dict[PeerId, Departure] = {}

    def note(self, departure: Departure) -> None:
        self._by_peer.pop(departure.peer, None)
        self._by_peer[departure.peer] = departure
        if len(self._by_peer) > MAX_SHOWN:
            del self._by_peer[next(iter(self._by_peer))]

    def forget(self, peer: PeerId) -> None:
        """Take note that a peer is back."""
        self._by_peer.pop(peer, None)

    def latest(self, now: Seconds) -> list[Departure]:
        """Return those that are not older than SHOWN_S, newest first."""
        return [each for each in reversed(self._by_peer.values()) if now - each.at <= SHOWN_S]
