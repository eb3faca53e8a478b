"""One of Gymnasium's `VectorEnv`s as rows of the core's arrays, however it begins the next episodes.

Autoreset modes: https://farama.org/Vector-Autoreset-Mode. What the core learns from is the same in all of them: the
last observation of an episode, and never a step that is part of none.
"""

from typing import Any  # Any: whatever an environment returns

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from peer.python_envs.arrays import StepArrays
from peer.python_envs.autoreset import autoreset_mode_of
from peer.python_envs.python_env import PythonEnv
from peer.python_envs.spaces import BatchEnv, Floats

_Bools = npt.NDArray[np.bool_]


class VectorRows:
    """Environments of the core's arrays that one object steps; it must be reset first.

    rows: which they are, ascending, in the object's own order.
    """

    def __init__(self, kind: PythonEnv, env: BatchEnv, arrays: StepArrays, rows: list[int]) -> None:
        """Raises: ValueError when it does not say how it begins the next episodes."""
        self.rows = rows
        self.env = env
        self._kind = kind
        self._arrays = arrays
        self._indices = np.array(rows)
        self._at = slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else self._indices
        self._mode = autoreset_mode_of(env)
        self._elapsed = np.zeros(len(rows), np.int64)
        self._ended = np.zeros(len(rows), bool)

    def reset(self, seed: int) -> None:
        """Begin an episode in each. Raises: what the environment raises, ValueError for what it must not return."""
        observations, _ = self.env.reset(seed=seed)
        self._arrays.observations[self._at] = self._checked(observations)
        self._arrays.waiting[self._at] = 0
        self._elapsed[:] = 0
        self._ended[:] = False

    def step(self) -> None:
        """Move each on by its action. Raises: as `reset`."""
        arrays, at = self._arrays, self._at
        actions = self._kind.actions.together(arrays.actions[at])
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        arrays.observations[at] = self._checked(observations)
        arrays.rewards[at] = self._column("rewards", rewards)
        arrays.terminated[at] = is_end = self._column("terminations", terminated).astype(bool)
        is_cut = self._column("truncations", truncated).astype(bool)
        self._elapsed += 1
        if self._mode is AutoresetMode.NEXT_STEP and self._ended.any():
            self._check_beginnings(is_end, is_cut)
        if self._elapsed.max() >= self._kind.max_episode_steps:
            self._check_lengths(is_end, is_cut)
        arrays.truncated[at] = is_cut
        self._ended = is_end | is_cut
        if self._mode is AutoresetMode.NEXT_STEP:
            arrays.waiting[at] = self._ended
        if self._ended.any():
            self._end(self._ended, info)

    def _check_beginnings(self, is_end: _Bools, is_cut: _Bools) -> None:
        """Count the steps that only began an episode for nothing."""
        if (self._ended & (is_end | is_cut)).any():
            raise ValueError("an episode ended in the step that begins it, whose action is ignored (NEXT_STEP)")
        self._elapsed[self._ended] = 0

    def _check_lengths(self, is_end: _Bools, is_cut: _Bools) -> None:
        """Set `is_cut` by the time limit, where nobody else does."""
        late = (self._elapsed >= self._kind.max_episode_steps) & ~is_end & ~is_cut
        if self._mode is AutoresetMode.DISABLED:
            is_cut |= late
        elif late.any():
            raise ValueError(f"an episode goes on after its {self._kind.max_episode_steps} steps (max_episode_steps)")

    def _end(self, ended: _Bools, info: dict[str, Any]) -> None:
        observations = self._arrays.observations[self._at]
        final = self._final_of(info, ended) if self._mode is AutoresetMode.SAME_STEP else observations[ended]
        rows = self._indices[ended]
        self._arrays.final_observations[rows] = final
        if self._mode is AutoresetMode.NEXT_STEP:
            self._arrays.observations[rows] = 0.0  # nothing is chosen from it
        elif self._mode is AutoresetMode.DISABLED:
            self._arrays.observations[rows] = self._begun(ended, observations)
        self._elapsed[ended] = 0

    def _final_of(self, info: dict[str, Any], ended: _Bools) -> Floats:
        final = info.get("final_obs")
        if final is None or len(final) != len(self.rows):
            raise ValueError('episodes that end and begin in one step (SAME_STEP) need info["final_obs"] of each')
        return np.stack([self._row(final[index]) for index in np.flatnonzero(ended)])

    def _begun(self, ended: _Bools, before: Floats) -> Floats:
        observations, _ = self.env.reset(options={"reset_mask": ended.copy()})
        after = self._checked(observations)
        if not np.array_equal(after[~ended], before[~ended], equal_nan=True):
            raise ValueError('reset(options={"reset_mask": ...}) restarted environments that are not in the mask')
        return after[ended]

    def _row(self, observation: npt.ArrayLike) -> Floats:
        row = np.asarray(observation, np.float32).reshape(-1)
        if row.shape != (self._kind.observation_dim,):
            raise ValueError(f'info["final_obs"] must have {self._kind.observation_dim} numbers, got {row.size}')
        return row

    def _checked(self, observations: npt.ArrayLike) -> Floats:
        given = np.asarray(observations, np.float32)
        wanted = (len(self.rows), *self._kind.observation_shape)
        if given.shape != wanted:
            raise ValueError(f"observations must have shape {wanted}, got {given.shape}")
        return given.reshape(len(self.rows), -1)

    def _column(self, name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
        column = np.asarray(values)
        if column.shape != (len(self.rows),):
            raise ValueError(f"{name} must have shape ({len(self.rows)},), got {column.shape}")
        return column
