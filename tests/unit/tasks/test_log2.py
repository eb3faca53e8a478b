"""The integer logarithm against an independent oracle: exact powers, and 60-digit decimals."""

import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.tasks.log2 import FRACTION_BITS, negative_log2

ONE = 1 << FRACTION_BITS

SLACK = decimal.Decimal(2) ** -16
"""The mantissa is cut to 62 bits, and 40 squarings double that error each time."""


@pytest.mark.parametrize("exponent", range(65))
def test_powers_of_two_are_exact(exponent: int) -> None:
    assert negative_log2(1 << exponent, bits=64) == (64 - exponent) * ONE


@given(st.integers(1, 1 << 64))
def test_value_is_the_real_logarithm_rounded_up(value: int) -> None:
    with decimal.localcontext(prec=60):
        exact = (64 - decimal.Decimal(value).ln() / decimal.Decimal(2).ln()) * ONE
        assert -SLACK <= negative_log2(value, bits=64) - exact <= 1 + SLACK


@given(st.integers(1, (1 << 64) - 1), st.integers(0, 1 << 63))
def test_order_is_that_of_the_values(value: int, more: int) -> None:
    larger = min(value + more, 1 << 64)
    assert negative_log2(larger, bits=64) <= negative_log2(value, bits=64)


def test_golden_values_are_the_same_on_every_machine() -> None:
    got = [negative_log2(value, bits=64) for value in (1, 3, 10**9 + 7, 10**18 + 9, (1 << 64) - 1)]
    assert got == [70368744177664, 68626059478533, 37496257063881, 4623769972305, 1]


@pytest.mark.parametrize("value", [0, -1, (1 << 64) + 1])
def test_value_outside_the_range_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="negative_log2 needs"):
        negative_log2(value, bits=64)
