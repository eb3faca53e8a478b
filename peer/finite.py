"""A number that may not be one, for where only numbers can stand: in headers, statuses and JSON."""

import math


def finite(value: float | None) -> float | None:
    """Return `value`; None for NaN and infinities, too."""
    return value if value is not None and math.isfinite(value) else None
