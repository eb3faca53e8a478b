"""The arithmetic that every rule is made of, as a seam: NumPy here (numpy_kernels.py), C++ injected by the node.

Both give the same bytes, because each result is defined to the last bit:

- *Fixed point.* A share times a delta is one float64 product, rounded to the nearest multiple of 2^-35 (ties to even).
  What is added up is integers, so neither order nor threads matter. With |delta| <= 2^15 and shares that sum to at most
  one in absolute value, every sum stays below 2^51.
- *Norms* are float64 sums in one fixed order: slices of 65,536 coordinates; in a slice 16 lanes, lane j adding
  coordinates j, 16 + j, 32 + j, ...; the lanes folded in halves (8, 4, 2, 1); the slices added in order.
- *Distances* are the same over blocks of 4,096 coordinates, but differences, squares, lanes and fold are float32
  (docs/adr/0047); the blocks of a slice are added in order in float64, then the slices.

IEEE 754 rounds each of these operations in one way, and none is fused.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from peer.types import Params

SCALE_BITS = 35
SLICE = 65_536
LANES = 16
BLOCK = 4096
MAX_DELTAS = 64
"""As many as a manifest admits; more would leave the range of the integer sums."""

Distances = npt.NDArray[np.float64]


class Kernels(Protocol):
    """Deltas are float32[P], all of one length, C-contiguous; the result is the same for any number of threads."""

    def l2_norm(self, delta: Params) -> float:
        """Return the Euclidean norm; not finite if the delta is not. Cost: O(P)."""

    def weighted_sum(self, deltas: Sequence[Params], shares: Sequence[float]) -> Params:
        """Return the sum of share * delta in fixed point, float32[P], without minus zero. Cost: O(K P).

        Raises: ValueError unless there are 1 to 64 deltas, all finite and within 2^15, and the absolute shares sum to
        at most 1.
        """

    def squared_distances(self, deltas: Sequence[Params]) -> Distances:
        """Return float64[K, K], the squared Euclidean distance of each pair, to five digits. Cost: O(K^2 P).

        Raises: ValueError as `weighted_sum`.
        """

    def trimmed_mean(self, deltas: Sequence[Params], *, trim: int) -> Params:
        """Return per coordinate the mean without the `trim` smallest and largest values, in fixed point.

        Raises: ValueError as `weighted_sum`, and unless 0 <= 2 * trim < K. Cost: O(P K log^2 K).
        """
