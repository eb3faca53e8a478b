"""Plain values that every layer speaks: identities, digests, and the model as NumPy arrays."""

import math
from dataclasses import dataclass, field
from typing import NewType, Protocol

import numpy as np
import numpy.typing as npt

PeerId = NewType("PeerId", str)
"""libp2p peer id of an Ed25519 key, base58 ("12D3Koo..."); it contains the public key itself."""

Digest = NewType("Digest", bytes)
"""32 bytes: BLAKE3 of models, payloads and snapshots, SHA-256 of what is signed or configured (docs/adr/0073)."""

Session = NewType("Session", bytes)
"""Number that a process draws at its start and puts into all it signs, 16 bytes: tells two lives of one key apart."""

Seconds = float
"""A duration, or a reading of a local monotonic clock. Never wall-clock time."""

Params = npt.NDArray[np.float32]
"""All weights and biases of the network, flat: float32[P]."""

Vector64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Running count, mean and sum of squared deviations of M quantities (observation dims, then the return).

    count, mean, m2: float64[M]. A count of zero means "nothing seen", with mean 0 and m2 0.
    """

    count: Vector64
    mean: Vector64
    m2: Vector64

    @staticmethod
    def empty(size: int) -> "Moments":
        return Moments(count=np.zeros(size), mean=np.zeros(size), m2=np.zeros(size))

    @property
    def size(self) -> int:
        return int(self.count.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """What all peers hold in common after a round: parameters, normalisation statistics, the outer optimizer's memory.

    outer: float32[S * P], S vectors of the outer optimizer (momentum); empty where it keeps none. Agents neither give
    nor take it: local training has nothing to do with it.
    """

    params: Params
    moments: Moments
    outer: Params = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSchema:
    """The shape of a model; two peers may average only when their schema digests are equal.

    num_outer: size of `ModelState.outer`, a multiple of num_params; it follows from the configuration, not the agent.
    tensors: name and size of each run of the parameters in their order, together num_params; by default one.
    """

    num_params: int
    num_moments: int
    digest: Digest
    num_outer: int = 0
    tensors: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if not self.tensors:
            object.__setattr__(self, "tensors", (("parameters", self.num_params),))
        if (total := sum(size for _, size in self.tensors)) != self.num_params:
            raise ValueError(f"the tensors hold {total} values, the model has {self.num_params} parameters")

    @property
    def parts(self) -> tuple[str, ...]:
        """Name what a model of this schema is made of: its tensors, its statistics, the outer optimizer's memory."""
        return (*(name for name, _ in self.tensors), "statistics", "outer optimizer")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDelta:
    """What one peer learned since the round's base model.

    params: float32[P], local parameters minus base parameters. moments: of the observations seen since the base.
    """

    params: Params
    moments: Moments


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReturn:
    """Training episodes of one task that ended, at least one, and their mean return."""

    task_id: str
    episodes: int
    mean_return: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One admitted delta. weight: env steps it stands for, at least 1. peer: distinct within a round.

    norm: `l2_norm` of the delta's parameters where it is known already, so that they need not be read again. env_steps:
    those that it stands for, at whatever weight, which bound the observations that its statistics count for.
    """

    weight: int
    delta: ModelDelta
    peer: PeerId = PeerId("")
    norm: float | None = None
    env_steps: int | None = None


class UpdateFigures(Protocol):
    """By what a PPO update is judged. base_kl, entropy, approx_kl: nats.

    value_loss: half the squared error, in units of the (normalised) return. base_kl: from the policy that
    ppo.kl_penalty holds on to; 0 without one.
    """

    @property
    def policy_loss(self) -> float: ...
    @property
    def value_loss(self) -> float: ...
    @property
    def entropy(self) -> float: ...
    @property
    def approx_kl(self) -> float: ...
    @property
    def clip_fraction(self) -> float: ...
    @property
    def base_kl(self) -> float: ...
    @property
    def explained_variance(self) -> float: ...
    @property
    def learning_rate(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStats:
    """`UpdateFigures` as means over updates; explained_variance and learning_rate: of the last. NaN: there was none."""

    policy_loss: float = math.nan
    value_loss: float = math.nan
    entropy: float = math.nan
    approx_kl: float = math.nan
    clip_fraction: float = math.nan
    base_kl: float = math.nan
    explained_variance: float = math.nan
    learning_rate: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStats:
    """What one stretch of local training did. `mean_return` is NaN while no episode has ended.

    mean_length: of those episodes, in env steps; NaN where that is not known.
    tasks: what the episodes brought, task by task; none for a task without one. Empty where an agent has no tasks.
    updates: likewise without a value where an agent makes no such updates.
    """

    env_steps: int
    episodes: int
    mean_return: float
    approx_kl: float
    wall_s: Seconds
    mean_length: float = math.nan
    tasks: tuple[TaskReturn, ...] = ()
    updates: UpdateStats = UpdateStats()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvTask:
    """One piece of the run that somebody trains on: an env variant and the seeds of its episodes.

    params: env parameters that differ from the env's default, by name. seed_start..seed_end: half open.
    """

    task_id: str
    params: tuple[tuple[str, float], ...]
    seed_start: int
    seed_end: int
