"""The native environments as a `gymnasium.vector.VectorEnv`, for trainers other than ours.

Nothing else in the peer imports this module. To train in Gymnasium's own environments: peer/python_envs.

    env = NativeVectorEnv("CartPole-v1", num_envs=1024)
    observations, info = env.reset(seed=1)
    observations, rewards, terminations, truncations, info = env.step(env.action_space.sample())

or, after `register_envs()`: `gymnasium.make_vec("murmuration/CartPole-v1", num_envs=1024)`.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ClosedEnvironmentError
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from peer.native import EnvSpec, EnvVariant, StepArrays, VectorEnv, env_names

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Actions = npt.NDArray[Any]  # Any: numbers of a discrete or of a continuous space
Infos = dict[str, Any]  # Gymnasium's own type of it
Step = tuple[Floats, Floats, Bools, Bools, Infos]

NAMESPACE = "murmuration"
_MAX_SEED = 2**63


class NativeVectorEnv(gym.vector.VectorEnv[Floats, Actions, npt.NDArray[Any]]):
    """`num_envs` native environments that step together and restart by themselves.

    autoreset_mode: SAME_STEP, as the core does it: the step that ends an episode returns the first observation of the
    next. As in Gymnasium's SyncVectorEnv, `info["final_obs"]` holds the last one, and `info["final_info"]["episode"]`
    the return "r" and the length "l", each with a mask beside it under "_" + its name. NEXT_STEP, which Gymnasium's
    own wrappers of observations ask for: that step returns the last observation, and the next one restarts the env
    whatever the action, with reward 0. It costs about a microsecond more for each episode that ends.
    params: physics that differ from the environment's own, by name (`env_spec(name).params`).
    threads: for stepping; results do not depend on it. A process forked from the one that made the envs has none of
    these threads: it steps the envs that it inherited alone, with the same results. Make envs in the process that
    steps them.
    copy: False gives the same arrays at every step, without copying; they change at the next one.
    Continuous actions outside the bounds are clipped, as by Gymnasium's ClipAction.
    Raises: ValueError naming the nearest env or parameter.
    """

    def __init__(
        self,
        name: str,
        num_envs: int = 1,
        *,
        params: Mapping[str, float] | None = None,
        threads: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        copy: bool = True,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None:
            raise ValueError(f"native environments do not render, got render_mode={render_mode!r}")
        mode = _autoreset_mode(autoreset_mode)
        self._native = VectorEnv(name, num_envs, seed=0, threads=threads)
        if params:
            variant = EnvVariant(params=list(params.items()), seed_start=0, seed_end=_MAX_SEED, count=num_envs)
            self._native.assign_variants([variant])
        self.metadata = {"render_modes": [], "autoreset_mode": mode}
        self.spec = gym.registry.get(name)
        self.num_envs = num_envs
        self.copy = copy
        native = self._native.spec
        self.single_observation_space = _observation_space(native)
        self.single_action_space = _action_space(native)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._discrete = native.discrete
        self._actions = np.zeros((num_envs, native.action_dim), dtype=np.float32)
        self._out = StepArrays(self._native)
        self._next_step = mode is AutoresetMode.NEXT_STEP
        self._first_steps: dict[int, tuple[Floats, Floats]] = {}  # state and observation of envs that must restart
        self._terminations = self._out.terminated.view(np.bool_)  # 0 and 1 are what NumPy's bools are
        self._truncations = self._out.truncated.view(np.bool_)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, Infos]:
        """Restart every environment. Without a seed, from the next number of the generator last seeded.

        Raises: ValueError for options, of which there are none.
        """
        self._require_open()
        if options:
            raise ValueError(f"native environments have no reset options, got {sorted(options)}")
        super().reset(seed=seed)
        self._first_steps.clear()
        observations = self._native.reset(int(self.np_random.integers(_MAX_SEED)))
        if self.copy:
            return observations, {}
        self._out.observations[:] = observations
        return self._out.observations, {}

    def step(self, actions: Actions) -> Step:
        """Step every environment by its action, int[N] or float[N, A].

        Raises: ValueError for actions of another shape, that are no valid choice, or not finite.
        """
        self._require_open()
        out = self._out
        self._native.step_into(self._to_native(actions), out)
        if self._next_step:
            self._restart_late()
        ended = np.logical_or(self._terminations, self._truncations)
        infos: Infos = {}
        if ended.any():
            if self._next_step:
                self._hold_back(ended)
            else:
                infos = self._final_infos(ended)
        if self.copy:
            return (
                out.observations.copy(),
                out.rewards.copy(),
                self._terminations.copy(),
                self._truncations.copy(),
                infos,
            )
        return out.observations, out.rewards, self._terminations, self._truncations, infos

    def _to_native(self, actions: Actions) -> Floats:
        given = np.asarray(actions)
        if given.shape != self.action_space.shape:
            raise ValueError(f"actions must have shape {self.action_space.shape}, got {given.shape}")
        if given.dtype == np.float32 and given.ndim == 2 and given.flags.c_contiguous and given.flags.aligned:
            return given
        target = self._actions[:, 0] if self._discrete else self._actions
        try:
            np.copyto(target, given, casting="same_kind")
        except TypeError:
            raise ValueError(f"actions must be numbers, got {given.dtype}") from None
        return self._actions

    def _hold_back(self, ended: Bools) -> None:
        """Show the last observation of each env that ended, and keep what the core has already restarted with."""
        out = self._out
        for i in np.flatnonzero(ended):
            self._first_steps[int(i)] = self._native.get_state(int(i)), out.observations[i].copy()
            out.observations[i] = out.final_observations[i]

    def _restart_late(self) -> None:
        """Undo this step in the envs that ended with the last one: it was their restart."""
        out = self._out
        for i, (state, observation) in self._first_steps.items():
            self._native.set_state(i, state)
            out.observations[i] = observation
            out.rewards[i] = 0.0
            out.terminated[i] = out.truncated[i] = 0
        self._first_steps.clear()

    def _final_infos(self, ended: Bools) -> Infos:
        out, at = self._out, ended.nonzero()[0]
        last = out.final_observations.take(at, axis=0)  # copies, all at once
        final_obs = np.empty(self.num_envs, dtype=object)  # of None
        final_obs[at] = np.fromiter(last, dtype=object, count=at.size)
        episode = {
            "r": _only(out.episode_returns, at),
            "_r": ended,
            "l": _only(out.episode_lengths, at),
            "_l": ended,
        }
        return {
            "final_obs": final_obs,
            "_final_obs": ended,
            "final_info": {"episode": episode, "_episode": ended},
            "_final_info": ended,
        }

    def _require_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("this NativeVectorEnv was closed; make a new one")


def register_envs() -> None:
    """Make every native environment known to `gymnasium.make_vec` as "murmuration/<name>". May be called again."""
    for name in env_names():
        if f"{NAMESPACE}/{name}" not in gym.registry:
            gym.register(f"{NAMESPACE}/{name}", vector_entry_point=f"{__name__}:NativeVectorEnv", kwargs={"name": name})


def _only(values: npt.NDArray[Any], at: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Return `values` at these places, and 0 elsewhere."""
    chosen = np.zeros(values.shape, values.dtype)
    chosen[at] = values[at]
    return chosen


def _autoreset_mode(given: str | AutoresetMode) -> AutoresetMode:
    """Return the mode; Gymnasium's own vector environments take its name, such as "NextStep", as well."""
    for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        if given in (mode, mode.value):
            return mode
    raise ValueError(f"autoreset_mode must be SAME_STEP or NEXT_STEP, got {given}")


def _observation_space(spec: EnvSpec) -> Box:
    if spec.obs_low.size == 0:
        return Box(-np.inf, np.inf, shape=(spec.obs_dim,), dtype=np.float32)
    return Box(spec.obs_low, spec.obs_high, dtype=np.float32)


def _action_space(spec: EnvSpec) -> Discrete | Box:
    if spec.discrete:
        return Discrete(spec.num_actions)
    return Box(spec.action_low, spec.action_high, dtype=np.float32)
