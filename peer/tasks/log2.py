"""A base-2 logarithm in integers: the same bits on every machine, which no libm promises of `log`."""

FRACTION_BITS = 40
"""Two hashes whose logarithms agree to 2^-40 are a tie, decided by name: the bias is below one in 10^11."""

_WORK_BITS = 62


def negative_log2(value: int, *, bits: int) -> int:
    """Return -log2(value / 2^bits) as a fixed-point number with FRACTION_BITS bits, for 0 < value <= 2^bits.

    Truncated, not rounded; what matters is that everybody truncates alike.
    Source: the classic digit-by-digit method: squaring a mantissa in [1, 2) yields one bit of its logarithm.
    Raises: ValueError outside that range. Cost: FRACTION_BITS multiplications.
    """
    if not 0 < value <= 1 << bits:
        raise ValueError(f"negative_log2 needs 0 < value <= 2^{bits}, got {value}")
    exponent = value.bit_length() - 1
    shift = _WORK_BITS - exponent
    mantissa = value << shift if shift >= 0 else value >> -shift  # in [1, 2), scaled by 2^_WORK_BITS
    fraction = 0
    for _ in range(FRACTION_BITS):
        mantissa = mantissa * mantissa >> _WORK_BITS
        carry = mantissa >> (_WORK_BITS + 1)
        mantissa >>= carry
        fraction = fraction << 1 | carry
    return ((bits - exponent) << FRACTION_BITS) - fraction
