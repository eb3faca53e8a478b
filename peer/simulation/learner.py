"""The seam between a simulated peer and what learns in it. It is called when the virtual time of training is over."""

from dataclasses import dataclass
from typing import Protocol

from peer.types import ModelDelta, ModelSchema, ModelState


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What one stretch of training gave. mean_return: None while no episode has ended."""

    env_steps: int
    delta: ModelDelta
    approx_kl: float = 0.0
    mean_return: float | None = None


class Learner(Protocol):
    """One peer's own: episodes, randomness, optimizer state."""

    def train(self, start: ModelState, *, train_s: float) -> Trained:
        """Train for `train_s` seconds of virtual time from `start`; the delta is against `start`.

        Raises: ArithmeticError when training diverged.
        """


class Subject(Protocol):
    """What a swarm learns: everything that its peers have in common."""

    @property
    def schema(self) -> ModelSchema: ...

    def initial(self) -> ModelState:
        """Return the seeded first model."""

    def learner(self, number: int, life: int) -> Learner:
        """Return the learner of a peer that starts for the `life`-th time."""

    def evaluate(self, state: ModelState) -> float:
        """Return the greedy return of a model, a pure function of it; NaN where the policy gives none."""
