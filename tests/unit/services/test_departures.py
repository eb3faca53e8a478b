"""Which departures are remembered, and for how long."""

from peer.network.transport import NO_GOODBYE, STOPPED
from peer.services.departures import MAX_SHOWN, SHOWN_S, Departure, Departures
from peer.types import PeerId


def departure(peer: str, at: float, *, stopped: bool = False) -> Departure:
    return Departure(peer=PeerId(peer), at=at, cause=STOPPED if stopped else NO_GOODBYE, stopped=stopped)


def test_the_last_departure_of_each_peer_is_told_newest_first_and_for_a_while() -> None:
    departures = Departures()
    for each in (departure("a", 0.0), departure("b", 1.0), departure("a", 2.0, stopped=True)):
        departures.note(each)
    assert departures.latest(2.0) == [departure("a", 2.0, stopped=True), departure("b", 1.0)]
    assert departures.latest(1.5 + SHOWN_S) == [departure("a", 2.0, stopped=True)]
    assert departures.latest(2.5 + SHOWN_S) == []


def test_who_is_back_is_not_told_of() -> None:
    departures = Departures()
    departures.note(departure("a", 0.0))
    departures.forget(PeerId("a"))
    departures.forget(PeerId("b"))
    assert departures.latest(0.0) == []


def test_departures_are_bounded_in_number() -> None:
    departures = Departures()
    for number in range(MAX_SHOWN + 10):
        departures.note(departure(f"p{number}", float(number)))
    found = departures.latest(MAX_SHOWN + 10.0)
    assert len(found) == MAX_SHOWN
    assert found[-1].peer == "p10"
