"""Pauses between lines about what lasts: they double, up to ten minutes, and begin anew with what is new."""

from peer.telemetry.growing_pause import GrowingPause
from peer.telemetry.rate_limit import LONGEST_S


def pauses(pause: GrowingPause, *, lines: int) -> list[float]:
    """Return the seconds before each line, with a look every second."""
    told: list[float] = []
    now = since = 0.0
    while len(told) < lines:
        if pause.is_over(now):
            told.append(now - since)
            since = now
            pause.begin(now)
        now += 1.0
    return told


def test_the_first_line_comes_at_once_and_the_others_after_pauses_that_double() -> None:
    assert pauses(GrowingPause(first_s=60.0), lines=7) == [0, 60, 120, 240, 480, LONGEST_S, LONGEST_S]


def test_a_first_pause_beyond_the_longest_stays() -> None:
    assert pauses(GrowingPause(first_s=3600.0), lines=4) == [0, 3600, 3600, 3600]


def test_what_is_over_and_comes_again_is_told_as_at_first() -> None:
    pause = GrowingPause(first_s=60.0)
    pauses(pause, lines=4)
    pause.forget()
    assert pauses(pause, lines=3) == [0, 60, 120]
