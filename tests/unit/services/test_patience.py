"""How long an answer is waited for, from what the last ones took."""

from peer.services.patience import MOST_S, Patience
from peer.types import PeerId

SLOW, QUICK = PeerId("slow"), PeerId("quick")


def test_wait_doubles_from_one_late_answer_to_the_next_and_is_bounded() -> None:
    patience = Patience(least_s=5.0)
    waits = []
    for _ in range(5):
        waits.append(patience.of(SLOW))
        patience.late(SLOW)
    assert waits == [5.0, 10.0, 20.0, 40.0, 40.0]
    assert patience.of(SLOW) == MOST_S
    assert patience.of(QUICK) == 5.0


def test_wait_follows_how_long_answers_take() -> None:
    patience = Patience(least_s=5.0)
    patience.late(SLOW)
    patience.late(SLOW)
    patience.answered(SLOW, 4.0)
    assert patience.of(SLOW) == 12.0
    patience.answered(SLOW, 0.1)
    assert patience.of(SLOW) == 5.0


def test_whoever_is_gone_is_forgotten() -> None:
    patience = Patience(least_s=5.0)
    patience.late(SLOW)
    patience.keep({QUICK})
    assert patience.of(SLOW) == 5.0
