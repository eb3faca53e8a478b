"""Exact merging of running statistics, the same bytes on every machine.

Only elementwise float64 additions, products and quotients in a fixed order: IEEE 754 defines each result, so no CPU,
instruction set or thread count can change a bit.
"""

from collections.abc import Iterable

import numpy as np

from peer.types import Moments


def merge(a: Moments, b: Moments) -> Moments:
    """Return the statistics of the union of two samples, elementwise.

    Source: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances",
    eq. 2.1. Elements that `b` has not seen stay as they are in `a`, bit for bit.
    """
    total = a.count + b.count
    safe_total = np.where(total > 0, total, 1.0)
    shift = b.mean - a.mean
    mean = a.mean + shift * (b.count / safe_total)
    m2 = a.m2 + b.m2 + shift * shift * (a.count * (b.count / safe_total))
    unseen = b.count == 0
    return Moments(count=total, mean=np.where(unseen, a.mean, mean), m2=np.where(unseen, a.m2, m2))


def merge_all(base: Moments, parts: Iterable[Moments]) -> Moments:
    """Fold `parts` into `base` in the order given; callers pass them sorted by peer id."""
    for part in parts:
        base = merge(base, part)
    return base
