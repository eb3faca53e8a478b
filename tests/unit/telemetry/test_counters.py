"""Totals: they only grow, whoever names them, and are bounded in number."""

import pytest

from peer.telemetry.counters import OVERFLOW, Counters


def test_totals_grow_and_never_fall() -> None:
    counters = Counters()
    counters.add("lost")
    counters.add("lost", 2)
    counters.add("bytes", 5)
    assert counters.totals() == {"bytes": 5, "lost": 3}
    with pytest.raises(ValueError, match="cannot fall"):
        counters.add("lost", -1)


def test_what_was_refused_is_told_by_reason_and_among_the_totals() -> None:
    counters = Counters()
    for reason in ("run", "config", "run"):
        counters.refuse(reason)
    counters.add("lost")
    assert counters.refusals() == {"config": 1, "run": 2}
    assert counters.totals() == {"lost": 1, "refused_config": 1, "refused_run": 2}


def test_names_without_end_are_summed_up() -> None:
    counters = Counters()
    for index in range(10_000):
        counters.add(f"invented-{index}")
    assert len(counters.totals()) < 600
    assert sum(counters.totals().values()) == 10_000
    assert counters[OVERFLOW] > 9000
