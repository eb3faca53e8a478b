"""At which steps a run without a swarm is evaluated."""

import pytest

from peer.solo.schedule import every, growing


def test_evaluations_are_close_at_first_and_five_percent_apart_later() -> None:
    assert growing(0) == 4096
    assert growing(4096) == 8192
    assert growing(1_000_000) == 1_050_000


def test_a_long_run_is_not_spent_on_evaluations() -> None:
    env_steps, evaluations = 0, 0
    while env_steps < 10**9:
        later = growing(env_steps)
        assert later > env_steps
        env_steps, evaluations = later, evaluations + 1
    assert evaluations < 300


def test_a_fixed_interval_is_kept() -> None:
    assert [every(500)(steps) for steps in (0, 512, 1024)] == [500, 1012, 1524]


@pytest.mark.parametrize("interval", [0, -1])
def test_no_interval_is_refused(interval: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        every(interval)
