"""Token buckets and bans, on a clock that the test turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.network.flood import MAX_SENDERS, Doorkeeper, Rate, Throttle, TokenBucket

RATES = {"messages": Rate(per_s=100.0, burst=200.0), "bytes": Rate(per_s=1000.0, burst=1000.0)}


def send(gate: Doorkeeper | Throttle, *, per_s: float, for_s: float, sender: str = "x", start: float = 0.0) -> int:
    """Return how many were admitted."""
    times = [start + number / per_s for number in range(int(per_s * for_s))]
    return sum(gate.admits(sender, "messages", at) for at in times)


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 300.0)), max_size=60))
def test_no_interval_gets_more_than_burst_plus_rate_times_time(steps: list[tuple[float, float]]) -> None:
    bucket, now = TokenBucket(Rate(per_s=10.0, burst=50.0), now=0.0), 0.0
    taken: list[tuple[float, float]] = []
    for wait, amount in steps:
        now += wait
        if bucket.take(amount, now):
            taken.append((now, amount))
    for i, (first, _) in enumerate(taken):
        for j in range(i, len(taken)):
            assert sum(amount for _, amount in taken[i : j + 1]) <= 50.0 + 10.0 * (taken[j][0] - first) + 1e-6


def test_a_clock_that_goes_back_brings_nothing() -> None:
    bucket = TokenBucket(Rate(per_s=1.0, burst=1.0), now=100.0)
    assert bucket.take(1.0, 100.0)
    assert not bucket.take(1.0, 10.0)
    assert not bucket.take(1.0, 100.5)
    assert bucket.take(1.0, 101.0)


@pytest.mark.parametrize("per_s", [150.0, 1_000.0, 100_000.0])
def test_a_throttle_never_lets_more_pass_for_being_asked_more_often(per_s: float) -> None:
    assert send(Throttle(RATES), per_s=per_s, for_s=10.0) <= 200 + 100 * 10


def test_a_throttle_takes_bounded_memory_and_forgets_the_longest_idle_first() -> None:
    throttle = Throttle(RATES)
    for number in range(MAX_SENDERS):
        assert throttle.admits(f"sender-{number}", "bytes", 0.0, amount=1000.0)
    assert throttle.admits("one more", "bytes", 0.0)
    assert len(throttle) == MAX_SENDERS
    assert not throttle.admits("sender-1", "bytes", 0.0, amount=1000.0)
    assert throttle.admits("sender-0", "bytes", 0.0, amount=1000.0)


def test_a_sender_within_its_rate_is_never_refused() -> None:
    gate = Doorkeeper(RATES, ban_s=60.0)
    assert send(gate, per_s=99.0, for_s=100.0) == 9900
    assert gate.refused == gate.bans == 0


def test_a_sender_a_little_above_is_cut_down_and_not_banned() -> None:
    gate = Doorkeeper(RATES, ban_s=60.0)
    send(gate, per_s=108.0, for_s=300.0)
    assert gate.refused > 1000
    assert gate.bans == 0


def test_a_flooder_is_banned_in_seconds_for_a_minute_and_starts_anew_after_it() -> None:
    gate = Doorkeeper(RATES, ban_s=60.0)
    admitted = send(gate, per_s=1000.0, for_s=5.0)
    assert admitted <= 200 + 100 * 5
    assert gate.bans == 1
    assert gate.banned("x", 5.0) == "sent more than 100 messages a second, and went on"
    assert gate.banned("x", 70.0) is None
    assert gate.admits("x", "messages", 70.0)


def test_a_ban_lasts_as_long_as_it_is_said_to_whatever_the_banned_one_sends() -> None:
    gate, now = Doorkeeper(RATES, ban_s=60.0), 0.0
    while gate.banned("x", now) is None:
        now += 0.001
        gate.admits("x", "messages", now)
    for after_s in (0.0, 1.0, 30.0, 59.9):
        assert not gate.admits("x", "messages", now + after_s)
    assert gate.bans == 1
    assert gate.admits("x", "messages", now + 60.0)


def test_senders_and_kinds_are_judged_apart() -> None:
    gate = Doorkeeper(RATES, ban_s=60.0)
    send(gate, per_s=1000.0, for_s=5.0)
    assert gate.admits("y", "messages", 5.0)
    assert gate.admits("y", "bytes", 5.0, amount=1000.0)
    assert not gate.admits("y", "bytes", 5.0, amount=1.0)
    assert gate.admits("y", "messages", 5.0)


def test_many_bans_take_bounded_memory() -> None:
    gate = Doorkeeper({"messages": Rate(per_s=1.0, burst=1.0)}, ban_s=60.0)
    for number in range(2 * MAX_SENDERS):
        send(gate, per_s=100.0, for_s=0.1, sender=f"flooder-{number}")
    assert gate.bans == 2 * MAX_SENDERS
    assert len(gate) == MAX_SENDERS
    assert gate.banned(f"flooder-{2 * MAX_SENDERS - 1}", 1.0)


@pytest.mark.parametrize("senders", [MAX_SENDERS, 5 * MAX_SENDERS])
def test_many_senders_take_bounded_memory_and_free_no_banned_one(senders: int) -> None:
    gate = Doorkeeper(RATES, ban_s=60.0)
    send(gate, per_s=1000.0, for_s=5.0, sender="flooder")
    for number in range(senders):
        gate.admits(f"sender-{number}", "messages", 6.0)
    assert len(gate) <= MAX_SENDERS
    assert gate.banned("flooder", 6.0)
