"""How `murmur bench` makes rates of steps and times."""

import time
from collections.abc import Iterator

import pytest

from peer.solo.rates import Stretch, cpu_rate, measure, spread, wall_rate


def test_the_warm_up_is_short_and_not_counted() -> None:
    asked: list[float] = []
    told: list[Stretch] = []

    def steps(seconds: float) -> int:
        asked.append(seconds)
        return 10 * len(asked)

    stretches = measure(steps, seconds=30.0, repeats=3, done=told.append)
    assert asked == [1.0, 30.0, 30.0, 30.0]
    assert [stretch.env_steps for stretch in stretches] == [20, 30, 40]
    assert told == stretches


def test_a_rate_is_steps_over_the_time_that_the_call_really_took(monkeypatch: pytest.MonkeyPatch) -> None:
    wall: Iterator[float] = iter([100.0, 104.0])
    cpu: Iterator[float] = iter([7.0, 9.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(wall))
    monkeypatch.setattr(time, "process_time", lambda: next(cpu))
    [stretch] = measure(lambda _seconds: 800, seconds=1.0, repeats=1, done=lambda _stretch: None)
    assert wall_rate(stretch) == 200.0
    assert cpu_rate(stretch) == 400.0


def test_no_cpu_time_gives_no_rate_instead_of_an_error() -> None:
    assert cpu_rate(Stretch(env_steps=5, wall_s=1.0, cpu_s=0.0)) == 0.0


def test_the_spread_is_of_all_stretches() -> None:
    summary = spread([5.0, 1.0, 9.0, 2.0])
    assert (summary.median, summary.min, summary.max) == (3.5, 1.0, 9.0)
