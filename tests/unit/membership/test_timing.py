"""The length of a suspicion, and the budget of eight seconds, as tables."""

import itertools
import math

import pytest

from peer.membership.timing import Timing, expected_confirmations, suspicion_s

TIMING = Timing()


@pytest.mark.parametrize(
    ("confirmed", "expected", "seconds"),
    [
        (0, 0, 2.0),  # two peers: nobody could confirm
        (0, 1, 6.0),
        (1, 1, 2.0),
        (0, 3, 6.0),
        (1, 3, 4.0),  # half of the way: log 2 / log 4
        (2, 3, 6.0 - 4.0 * math.log(3) / math.log(4)),
        (3, 3, 2.0),
        (9, 3, 2.0),  # never below the least
    ],
)
def test_suspicion_follows_lifeguards_formula(confirmed: int, expected: int, seconds: float) -> None:
    assert suspicion_s(confirmed, expected=expected, timing=TIMING) == pytest.approx(seconds)


def test_more_confirmations_never_make_a_suspicion_longer() -> None:
    for expected in range(8):
        times = [suspicion_s(confirmed, expected=expected, timing=TIMING) for confirmed in range(20)]
        assert all(early >= late for early, late in itertools.pairwise(times))


@pytest.mark.parametrize(("members", "expected"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (60, 3)])
def test_confirmations_are_expected_of_the_other_members_only(members: int, expected: int) -> None:
    assert expected_confirmations(members, timing=TIMING) == expected


def test_defaults_give_a_dead_peer_up_within_eight_seconds() -> None:
    """With one look of the clock wasted in each phase."""
    phases = (TIMING.quiet_s, TIMING.direct_s, TIMING.indirect_s, TIMING.suspect_min_s)
    assert sum(phase + TIMING.tick_s for phase in phases) <= 8.0
