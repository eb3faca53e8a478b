"""How widely a policy with continuous actions spreads them: what its learned `log_std` comes to."""

from collections.abc import Callable, Sequence

import numpy as np

from peer.types import Params

_TENSOR = "log_std"


def action_std(tensors: Sequence[tuple[str, int]], params: Callable[[], Params]) -> float | None:
    """Return the mean over the action's dimensions; None where actions are discrete.

    tensors: names and lengths of what `params` consists of, in order. params: not asked for where actions are discrete,
    as it copies the model.
    """
    start = 0
    for name, length in tensors:
        if name == _TENSOR:
            return float(np.exp(params()[start : start + length].astype(np.float64)).mean())
        start += length
    return None
