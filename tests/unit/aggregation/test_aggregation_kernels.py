"""The kernels in C++ against those in NumPy, bit for bit, and those in NumPy against exact fractions."""

from fractions import Fraction

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.aggregation.kernels import SLICE, Kernels
from peer.aggregation.numpy_kernels import NumpyKernels
from peer.codec.codec import MAX_MAGNITUDE
from peer.native import AggregationKernels
from peer.types import Params

REFERENCE: Kernels = NumpyKernels()
NATIVE: list[Kernels] = [AggregationKernels(threads=threads) for threads in (1, 3)]
SIZES = st.one_of(st.integers(1, 80), st.sampled_from([SLICE - 1, SLICE + 17]))


@st.composite
def stacks(draw: st.DrawFn) -> list[Params]:
    count, size = draw(st.integers(1, 9)), draw(SIZES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scales = 2.0 ** rng.integers(-40, 15, size=(count, size))
    return list((scales * rng.uniform(-1, 1, size=(count, size))).astype(np.float32))


@settings(max_examples=40)
@given(deltas=stacks(), seed=st.integers(0, 2**32))
def test_native_kernels_give_the_bits_of_the_reference(deltas: list[Params], seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = (rng.uniform(-1, 1, len(deltas)) / len(deltas)).tolist()
    trim = int(rng.integers(0, (len(deltas) + 1) // 2))
    for native in NATIVE:
        assert native.l2_norm(deltas[0]) == REFERENCE.l2_norm(deltas[0])
        assert native.weighted_sum(deltas, shares).tobytes() == REFERENCE.weighted_sum(deltas, shares).tobytes()
        assert native.squared_distances(deltas).tobytes() == REFERENCE.squared_distances(deltas).tobytes()
        trimmed = native.trimmed_mean(deltas, trim=trim)
        assert trimmed.tobytes() == REFERENCE.trimmed_mean(deltas, trim=trim).tobytes()


@settings(max_examples=60)
@given(
    rows=st.lists(
        hnp.arrays(np.float32, 3, elements=st.floats(-MAX_MAGNITUDE, MAX_MAGNITUDE, width=32)), min_size=1, max_size=6
    ),
    weights=st.lists(st.integers(1, 10**9), min_size=6, max_size=6),
)
def test_weighted_sum_equals_exact_arithmetic_within_the_documented_bound(
    rows: list[Params], weights: list[int]
) -> None:
    """Half a unit of 2^-35 a delta, one rounding of each product to 53 bits, and one to float32 at the end."""
    total = sum(weights[: len(rows)])
    got = REFERENCE.weighted_sum(rows, [weight / total for weight in weights[: len(rows)]])
    for coordinate in range(3):
        exact = sum(
            (
                Fraction(weight, total) * Fraction(float(row[coordinate]))
                for weight, row in zip(weights, rows, strict=False)
            ),
            Fraction(0),
        )
        bound = len(rows) * Fraction(1, 2**36) + abs(exact) * Fraction(1, 2**24) + Fraction(1, 2**34)
        assert abs(Fraction(float(got[coordinate])) - exact) <= bound


def test_largest_sums_do_not_overflow() -> None:
    row = np.asarray([MAX_MAGNITUDE, -MAX_MAGNITUDE, -0.0], np.float32)
    for kernels in (REFERENCE, *NATIVE):
        got = kernels.weighted_sum([row] * 64, [1 / 64] * 64)
        assert got.tolist() == [MAX_MAGNITUDE, -MAX_MAGNITUDE, 0.0]
        assert not np.signbit(got[2])


def test_norm_of_what_is_not_finite_is_not_finite() -> None:
    for kernels in (REFERENCE, *NATIVE):
        assert np.isnan(kernels.l2_norm(np.asarray([1, np.nan], np.float32)))
        assert np.isinf(kernels.l2_norm(np.asarray([1, -np.inf], np.float32)))


@pytest.mark.parametrize(
    ("deltas", "shares", "message"),
    [
        ([], [], "1 to 64"),
        ([np.zeros(2, np.float32)] * 2, [0.5], "shares?"),
        ([np.zeros(2, np.float32)] * 2, [0.5, 0.6], "at most 1"),
        ([np.zeros(2, np.float32)] * 2, [0.5, float("nan")], "at most 1"),
        ([np.zeros(2, np.float32), np.zeros(3, np.float32)], [0.5, 0.5], "delta"),
    ],
)
def test_mistakes_of_the_caller_are_named(deltas: list[Params], shares: list[float], message: str) -> None:
    for kernels in (REFERENCE, NATIVE[0]):
        with pytest.raises(ValueError, match=message):
            kernels.weighted_sum(deltas, shares)


def test_native_kernels_refuse_other_types_and_shapes() -> None:
    with pytest.raises(TypeError, match="float32"):
        NATIVE[0].l2_norm(np.zeros(4))  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ValueError, match="shape"):
        NATIVE[0].l2_norm(np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="contiguous"):
        NATIVE[0].l2_norm(np.zeros(8, np.float32)[::2])
