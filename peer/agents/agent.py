"""The seam between the swarm and a learner.

Two implementations: `native_agent` (the C++ PPO) and `numpy_agent` (a tiny learner for swarm tests in virtual
time). Both pass `tests/contract/test_agent.py`.
"""

from pathlib import Path
from typing import Protocol

from peer.types import EnvTask, ModelSchema, ModelState, Moments, Seconds, TrainStats


class Agent(Protocol):
    """A policy under training, seen as flat arrays. Not safe for use by two tasks at once."""

    @property
    def schema(self) -> ModelSchema: ...

    def model(self) -> ModelState:
        """Return a copy of the local parameters and of the statistics in use (base merged with new ones)."""

    def set_model(self, state: ModelState) -> None:
        """Replace parameters and statistics and forget `new_moments`; optimizer state and envs stay as they are.

        Raises: ValueError when a shape differs from `schema` or a value is not finite.
        """

    def new_moments(self) -> Moments:
        """Return a copy of the statistics of what was seen since the last `set_model`."""

    def set_tasks(self, tasks: tuple[EnvTask, ...]) -> None:
        """Share the envs out over `tasks`; envs of a task that stays keep their running episodes if possible.

        Raises: ValueError on an unknown env parameter, naming the nearest valid one, or when `tasks` is empty.
        """

    async def train(self, *, seconds: Seconds) -> TrainStats:
        """Train for about `seconds`; cancellable between chunks of at most about 1 s. Runs outside the event loop."""

    async def evaluate(self, *, episodes: int, seed: int) -> float:
        """Return the mean return of greedy episodes in the default env, a pure function of model and arguments."""

    def training_state(self) -> bytes:
        """Return local training state (optimizer moments, schedule, counters) as the content of a file for `load`."""

    def load(self, path: Path) -> None:
        """Restore a `training_state`. Raises: StorageError when missing, corrupt, or of another schema or version."""
