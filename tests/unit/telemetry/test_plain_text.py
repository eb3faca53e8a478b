"""Plain text is short, and holds nothing that a stranger can draw with."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.telemetry.plain_text import amount, duration, plural, printable, size


@pytest.mark.parametrize(("count", "text"), [(0, "0 peers"), (1, "1 peer"), (2, "2 peers"), (5000, "5,000 peers")])
def test_one_is_no_plural(count: int, text: str) -> None:
    assert plural(count, "peer") == text
    assert plural(count, "switch", ending="es").endswith("switches") == (count != 1)


@given(st.text())
def test_printable_text_is_untouched_and_the_rest_is_escaped(value: str) -> None:
    got = printable(value)
    assert got.isprintable()
    assert (got == value) == value.isprintable()
    got.encode("utf-8")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (949.6, "950"), (999.4, "999"), (999.96, "1.0k"), (84_249, "84.2k"),
     (99_949, "99.9k"), (99_951, "100k"), (842_000, "842k"), (999_499, "999k"), (999_500, "1.0M"),
     (1_300_000, "1.3M"), (2.5e9, "2.5G"), (math.nan, "-"), (math.inf, "-")],
)  # fmt: skip
def test_amount_is_short(value: float, expected: str) -> None:
    assert amount(value) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (842_000, "842 KB"), (999_960, "1.0 MB"), (5 * 10**9, "5.0 GB")],
)
def test_size_is_short(count: int, expected: str) -> None:
    assert size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (99.9, "99.9 s"), (99.96, "1 min 40 s"), (119.6, "2 min 00 s"), (3599.6, "1 h 00 min"),
     (90_000, "25 h 00 min")],
)  # fmt: skip
def test_duration_is_short(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
