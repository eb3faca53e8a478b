"""Outer optimizers: from the common model and the rule's pseudo-gradient to the next common model.

Source of the frame: Reddi et al. 2021, "Adaptive Federated Optimization", alg. 1. Their memory is part of the model
state, so every peer holds the same. All arithmetic is elementwise float64, rounded to float32 once a round.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from peer.aggregation.outer_adam import OuterAdam
from peer.aggregation.outer_nesterov import OuterNesterov
from peer.aggregation.outer_sgd import OuterSgd
from peer.types import ModelState, Params, Vector64

_BLOCK = 16_384
"""Coordinates worked on at a time, so that their float64 copies stay in the cache."""


class OuterOptimizer(Protocol):
    """From a common model and a pseudo-gradient to the next common model.

    slots: vectors of memory. initial: what each of them is filled with at the start of a run.
    """

    @property
    def slots(self) -> int: ...

    @property
    def initial(self) -> tuple[float, ...]: ...

    def update(self, params: Vector64, memory: Vector64, gradient: Vector64) -> tuple[Vector64, Vector64]:
        """Return the next params [B] and memory [slots, B] of some coordinates. gradient: points where to go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OuterOptions:
    """What outer optimizers may be told.

    lr: None is the optimizer's own default. momentum: also Adam's beta1. beta2, epsilon: Adam's alone.
    """

    lr: float | None = None
    momentum: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-3


OUTER_OPTIMIZERS: dict[str, Callable[[OuterOptions], OuterOptimizer]] = {
    "sgd": lambda options: OuterSgd(lr=1.0 if options.lr is None else options.lr),
    "nesterov": lambda options: OuterNesterov(lr=0.7 if options.lr is None else options.lr, momentum=options.momentum),
    "fedadam": lambda options: OuterAdam(
        lr=0.01 if options.lr is None else options.lr,
        beta1=options.momentum,
        beta2=options.beta2,
        epsilon=options.epsilon,
    ),
}
"""By the name that the config uses; a new one is one file and one entry here."""


def initial_memory(optimizer: OuterOptimizer, num_params: int) -> Params:
    """Return the outer optimizer's memory at the start of a run, float32[slots * P]."""
    return np.repeat(np.asarray(optimizer.initial, np.float32), num_params)


def outer_step(optimizer: OuterOptimizer, base: ModelState, gradient: Params) -> tuple[Params, Params]:
    """Return the next parameters and memory. Raises: ValueError when the memory is not of this optimizer."""
    size = base.params.size
    if base.outer.size != optimizer.slots * size:
        raise ValueError(f"expected {optimizer.slots} vectors of outer memory, got {base.outer.size} values")
    memory = base.outer.reshape(optimizer.slots, size)
    params, remembered = np.empty_like(base.params), np.empty_like(memory)
    for start in range(0, size, _BLOCK):
        part = slice(start, start + _BLOCK)
        moved, kept = optimizer.update(
            base.params[part].astype(np.float64), memory[:, part].astype(np.float64), gradient[part].astype(np.float64)
        )
        params[part] = moved
        remembered[:, part] = kept
    zero = np.float32(0.0)
    params += zero  # minus zero plus zero is zero: minus zero would be another model
    remembered += zero
    return params, remembered.reshape(-1)
