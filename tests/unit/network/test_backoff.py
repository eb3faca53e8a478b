"""The redial schedule: soon, then rarely, for ever."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.network.discovery.backoff import RedialPolicy, RedialSchedule

STEADY = RedialPolicy(first_s=0.5, factor=2.0, cap_s=15.0, jitter=0.0)


@pytest.mark.parametrize(
    ("failures", "wait_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 15.0), (7, 15.0), (10**9, 15.0)]
)
def test_wait_doubles_up_to_the_cap_and_stays_there(failures: int, wait_s: float) -> None:
    assert STEADY.wait_s(failures, random.Random(1)) == wait_s


@given(st.integers(1, 10**12), st.floats(0.0, 0.99), st.integers())
def test_jitter_stays_within_its_share_and_repeats_with_the_seed(failures: int, jitter: float, seed: int) -> None:
    policy = RedialPolicy(jitter=jitter)
    centre = RedialPolicy(jitter=0.0).wait_s(failures, random.Random(0))
    wait_s = policy.wait_s(failures, random.Random(seed))
    assert centre * (1 - jitter) - 1e-9 <= wait_s <= centre * (1 + jitter) + 1e-9
    assert wait_s == policy.wait_s(failures, random.Random(seed))


def test_constant_wait_is_possible() -> None:
    policy = RedialPolicy(first_s=3.0, factor=1.0, cap_s=9.0, jitter=0.0)
    assert policy.wait_s(10**9, random.Random(1)) == 3.0


@pytest.mark.parametrize(
    "changes",
    [{"first_s": 0.0}, {"first_s": 20.0}, {"factor": 0.5}, {"jitter": 1.0}, {"jitter": -0.1}, {"factor": float("nan")}],
)
def test_senseless_policy_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        RedialPolicy(**changes)


def test_zero_failures_have_no_wait() -> None:
    with pytest.raises(ValueError, match="got 0"):
        STEADY.wait_s(0, random.Random(1))


def test_schedule_waits_longer_after_each_failure_and_forgets_on_success() -> None:
    schedule = RedialSchedule(STEADY, random.Random(1))
    assert schedule.is_due("a", 0.0)
    assert schedule.failed("a", 100.0) == 0.5
    assert not schedule.is_due("a", 100.4)
    assert schedule.is_due("b", 100.4)
    assert schedule.is_due("a", 100.5)
    assert schedule.failed("a", 100.5) == 1.0
    assert schedule.failures("a") == 2
    schedule.succeeded("a")
    assert schedule.is_due("a", 100.6)
    assert schedule.failed("a", 100.6) == 0.5


def test_schedule_never_gives_up() -> None:
    schedule = RedialSchedule(RedialPolicy(), random.Random(1))
    now = 0.0
    for _ in range(10_000):
        wait_s = schedule.failed("a", now)
        assert 0.0 < wait_s <= 15.0 * 1.25
        now += wait_s
        assert schedule.is_due("a", now)


def test_schedule_forgets_addresses_that_nobody_names() -> None:
    schedule = RedialSchedule(STEADY, random.Random(1))
    for n in range(1000):
        schedule.failed(str(n), 0.0)
    schedule.retain({"5"})
    assert schedule.failures("5") == 1
    assert schedule.failures("6") == 0
    assert schedule.is_due("6", 0.0)
