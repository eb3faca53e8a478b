"""Local health: worse with late timers and unanswered questions, better with time and answers, always bounded."""

from hypothesis import given
from hypothesis import strategies as st

from peer.membership.health import RECOVERY_S, LocalHealth
from peer.membership.timing import MAX_SCORE


def test_a_new_peer_is_well_and_waits_no_longer_than_told() -> None:
    assert LocalHealth().multiplier == 1


def test_each_second_of_punctuality_takes_one_off_the_score() -> None:
    health = LocalHealth()
    health.worse(3)
    for _ in range(4):
        health.punctual(RECOVERY_S / 4)
    assert health.score == 2
    health.punctual(10 * RECOVERY_S)
    assert health.score == 0


def test_being_late_again_begins_the_recovery_anew() -> None:
    health = LocalHealth()
    health.worse(2)
    health.punctual(0.9 * RECOVERY_S)
    health.worse()
    health.punctual(0.9 * RECOVERY_S)
    assert health.score == 3


@given(st.lists(st.sampled_from(["worse", "better", "punctual"])))
def test_the_score_stays_within_its_bounds_whatever_happens(events: list[str]) -> None:
    health = LocalHealth()
    for event in events:
        if event == "worse":
            health.worse(3)
        elif event == "better":
            health.better()
        else:
            health.punctual(0.7)
        assert 0 <= health.score <= MAX_SCORE
        assert health.multiplier == 1 + health.score
