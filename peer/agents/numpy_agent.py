"""A tiny learner without C++: it walks towards a hidden optimum. For swarm tests and simulations in virtual time.

It has what the swarm sees of a real one: parameters that improve with env steps, noise that averaging removes,
statistics, a greedy return that is a pure function of the model, and state of its own. `train` sleeps on trio's clock.
"""

import difflib
import json
import math
from pathlib import Path

import numpy as np
import trio

from peer.bounded_file import read_bounded
from peer.errors import StorageError
from peer.moments import merge
from peer.types import Digest, EnvTask, ModelSchema, ModelState, Moments, Params, Seconds, TrainStats
from peer.wire.hashing import digest_of

BEST_RETURN = 500.0
_NUM_MOMENTS = 3
_STEP_SIZE = 2e-4
"""Share of the way to the optimum that 1 env step covers: 1,000 steps cover 18 %."""
_NOISE = 5e-3
_ENV_PARAMS = ("noise", "drift")
"""What a task may set; neither changes what is learned, as this agent has no environment."""
_FORMAT = 1
_MAX_STATE_BYTES = 4096


class NumpyAgent:
    """Implements `peer.agents.agent.Agent`. seed: of the common start and optimum. local_seed: of this peer's noise.

    steps_per_s: env steps in a second of virtual time.
    """

    def __init__(self, *, num_params: int = 64, seed: int = 1, local_seed: int = 1, steps_per_s: int = 1000) -> None:
        start = np.random.default_rng(seed)
        self._optimum = start.normal(size=num_params).astype(np.float32)
        self._params: Params = start.normal(size=num_params).astype(np.float32)
        self._base_moments = Moments.empty(_NUM_MOMENTS)
        self._new_moments = Moments.empty(_NUM_MOMENTS)
        self._rng = np.random.default_rng([seed, local_seed])
        self._steps_per_s = steps_per_s
        self._env_steps = 0
        self.tasks: tuple[EnvTask, ...] = ()
        self._schema = ModelSchema(
            num_params=num_params,
            num_moments=_NUM_MOMENTS,
            digest=Digest(digest_of(f"numpy agent {num_params}".encode())),
        )

    @property
    def schema(self) -> ModelSchema:
        return self._schema

    def model(self) -> ModelState:
        return ModelState(params=self._params.copy(), moments=merge(self._base_moments, self._new_moments))

    def set_model(self, state: ModelState) -> None:
        if state.params.shape != self._params.shape or state.moments.size != _NUM_MOMENTS:
            raise ValueError(f"expected {self._params.size} parameters, got {state.params.size}")
        moments = state.moments
        if not np.isfinite(state.params).all():
            raise ValueError("the parameters hold NaN or infinity")
        if not np.isfinite([moments.count, moments.mean, moments.m2]).all():
            raise ValueError("the statistics hold NaN or infinity")
        self._params = state.params.astype(np.float32, copy=True)
        self._base_moments = _copy(moments)
        self._new_moments = Moments.empty(_NUM_MOMENTS)

    @property
    def env_steps(self) -> int:
        """Count the env steps trained on in this agent's life, checkpoints included."""
        return self._env_steps

    def new_moments(self) -> Moments:
        return _copy(self._new_moments)

    def set_tasks(self, tasks: tuple[EnvTask, ...]) -> None:
        if not tasks:
            raise ValueError("set_tasks needs at least one task")
        for name in [name for task in tasks for name, _ in task.params if name not in _ENV_PARAMS]:
            nearest = difflib.get_close_matches(name, _ENV_PARAMS, n=1, cutoff=0.0)[0]
            raise ValueError(f"unknown env parameter {name!r}; the nearest is {nearest!r}")
        self.tasks = tasks

    async def train(self, *, seconds: Seconds) -> TrainStats:
        if not seconds > 0:
            raise ValueError(f"train needs seconds > 0, got {seconds}")
        await trio.sleep(seconds)
        steps = max(1, round(seconds * self._steps_per_s))
        share = -math.expm1(-_STEP_SIZE * steps)
        noise = self._rng.normal(scale=_NOISE, size=self._params.size)
        self._params = (self._params + share * (self._optimum - self._params) + noise).astype(np.float32)
        seen = self._rng.normal(size=(8, _NUM_MOMENTS))
        mean = seen.mean(axis=0)
        part = Moments(count=np.full(_NUM_MOMENTS, 8.0), mean=mean, m2=np.square(seen - mean).sum(axis=0))
        self._new_moments = merge(self._new_moments, part)
        self._env_steps += steps
        return TrainStats(env_steps=steps, episodes=1, mean_return=self._score(), approx_kl=0.01, wall_s=seconds)

    async def evaluate(self, *, episodes: int, seed: int) -> float:  # noqa: ARG002  # the protocol's; nothing is random here
        await trio.lowlevel.checkpoint()
        return self._score()

    def training_state(self) -> bytes:
        state = {"format": _FORMAT, "schema": self._schema.digest.hex(), "env_steps": self._env_steps}
        return json.dumps(state).encode()

    def load(self, path: Path) -> None:
        try:
            state = json.loads(read_bounded(path, most_bytes=_MAX_STATE_BYTES))
            if (state["format"], state["schema"]) != (_FORMAT, self._schema.digest.hex()):
                raise ValueError("it is of another model or version")
            self._env_steps = int(state["env_steps"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise StorageError(f"training state {path} cannot be used: {error!r}; remove it to start afresh") from error

    def _score(self) -> float:
        distance = self._params.astype(np.float64) - self._optimum
        return BEST_RETURN * math.exp(-float(np.mean(distance * distance)))


def _copy(moments: Moments) -> Moments:
    return Moments(count=moments.count.copy(), mean=moments.mean.copy(), m2=moments.m2.copy())
