"""The kernels in NumPy: what the C++ ones are tested against, and what swarms of toy models run on."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from peer.aggregation.kernels import BLOCK, LANES, MAX_DELTAS, SCALE_BITS, SLICE, Distances
from peer.codec.codec import MAX_MAGNITUDE
from peer.types import Params

Number = TypeVar("Number", np.float32, np.float64)

_ROUNDING_SLACK = 1e-9
"""Shares are quotients, each rounded once; together they may exceed one by that."""


class NumpyKernels:
    """Implements `Kernels`."""

    def l2_norm(self, delta: Params) -> float:
        with np.errstate(invalid="ignore"):  # NaN in, NaN out: the caller looks
            return float(np.sqrt(_sum_of_squares(delta.astype(np.float64))))

    def weighted_sum(self, deltas: Sequence[Params], shares: Sequence[float]) -> Params:
        check_deltas(deltas)
        check_shares(shares, len(deltas))
        total: npt.NDArray[np.int64] = np.zeros(deltas[0].shape, np.int64)
        for delta, share in zip(deltas, shares, strict=True):
            total += _to_fixed_point(delta, share)
        return _to_float(total)

    def squared_distances(self, deltas: Sequence[Params]) -> Distances:
        check_deltas(deltas)
        distances = np.zeros((len(deltas), len(deltas)))
        for i, j in combinations(range(len(deltas)), 2):
            distances[i, j] = distances[j, i] = _squared_distance(deltas[i], deltas[j])
        return distances

    def trimmed_mean(self, deltas: Sequence[Params], *, trim: int) -> Params:
        check_deltas(deltas)
        if not 0 <= 2 * trim < len(deltas):
            raise ValueError(f"expected 0 <= 2 * trim < {len(deltas)} deltas, got trim {trim}")
        kept = np.sort(np.stack(deltas), axis=0)[trim : len(deltas) - trim]
        total: npt.NDArray[np.int64] = _to_fixed_point(kept, 1.0 / len(kept)).sum(axis=0)
        return _to_float(total)


def check_deltas(deltas: Sequence[Params]) -> None:
    """Raises: ValueError unless there are 1 to 64, of one length, finite and within bounds."""
    if not 1 <= len(deltas) <= MAX_DELTAS:
        raise ValueError(f"a rule takes 1 to {MAX_DELTAS} contributions, got {len(deltas)}")
    for delta in deltas:
        if delta.shape != deltas[0].shape:
            raise ValueError(f"deltas must have one length, got {deltas[0].shape} and {delta.shape}")
        if not (np.abs(delta) <= MAX_MAGNITUDE).all():  # written so that NaN fails
            raise ValueError(f"a delta must be finite and within {MAX_MAGNITUDE:g}")


def check_shares(shares: Sequence[float], count: int) -> None:
    """Raises: ValueError unless there is one share a delta, and their absolute values sum to at most 1."""
    if len(shares) != count:
        raise ValueError(f"expected one share a delta, got {len(shares)} for {count}")
    total = math.fsum(abs(share) for share in shares)
    if not total <= 1.0 + _ROUNDING_SLACK:
        raise ValueError(f"the absolute shares must sum to at most 1, got {total:g}")


def _to_fixed_point(params: Params, share: float) -> npt.NDArray[np.int64]:
    return np.rint(params.astype(np.float64) * (share * float(1 << SCALE_BITS))).astype(np.int64)


def _to_float(total: npt.NDArray[np.int64]) -> Params:
    """Exact until the one rounding to float32; an integer has no minus zero."""
    result: Params = (total.astype(np.float64) * 2.0**-SCALE_BITS).astype(np.float32)
    return result


def _squared_distance(left: Params, right: Params) -> float:
    total = 0.0
    for start in range(0, left.size, SLICE):
        differences = left[start : start + SLICE] - right[start : start + SLICE]
        in_slice = 0.0
        for block in range(0, differences.size, BLOCK):
            in_slice += float(_folded(np.square(differences[block : block + BLOCK])))
        total += in_slice
    return total


def _sum_of_squares(values: npt.NDArray[np.float64]) -> float:
    total = 0.0
    for start in range(0, values.size, SLICE):
        total += float(_folded(np.square(values[start : start + SLICE])))
    return total


def _folded(squares: npt.NDArray[Number]) -> Number:
    """Sum in the order that kernels.py defines. Zeros that fill the last row change no sum of squares."""
    rows = np.zeros(-(-squares.size // LANES) * LANES, squares.dtype)
    rows[: squares.size] = squares
    lanes = np.zeros(LANES, squares.dtype)
    for row in rows.reshape(-1, LANES):
        lanes += row
    while lanes.size > 1:
        half = lanes.size // 2
        lanes = lanes[:half] + lanes[half:]
    folded: Number = lanes[0]
    return folded
