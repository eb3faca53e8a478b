"""NativeVectorEnv is to Gymnasium's own code what its SyncVectorEnv is, only faster."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.error import ClosedEnvironmentError
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from peer.gymnasium_env import NativeVectorEnv, register_envs
from peer.native import env_names

GymEnv = Any  # Gymnasium declares no type for the attributes of its classic-control envs


def make_sync(name: str, num_envs: int, *, mode: AutoresetMode = AutoresetMode.SAME_STEP) -> GymEnv:
    def make() -> GymEnv:
        return gym.wrappers.RecordEpisodeStatistics(gym.make(name, disable_env_checker=True))

    return SyncVectorEnv([make] * num_envs, autoreset_mode=mode)


@pytest.fixture(autouse=True)
def _clean_registry() -> Iterator[None]:
    yield
    for name in [name for name in gym.registry if name.startswith("murmuration/")]:
        del gym.registry[name]


@pytest.mark.parametrize("name", env_names())
def test_spaces_and_metadata_equal_those_of_sync_vector_env(name: str) -> None:
    ours, theirs = NativeVectorEnv(name, 3), make_sync(name, 3)
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.single_action_space == theirs.single_action_space
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.num_envs == theirs.num_envs == 3
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert ours.spec is not None
    assert ours.spec.id == name
    assert name in repr(ours)


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("name", env_names())
def test_steps_and_restarts_equal_sync_vector_env(name: str, mode: AutoresetMode, *, copy: bool) -> None:
    """Before each step, Gymnasium's envs get our states: its generators differ, and rounding would pile up."""
    num_envs, age = 16, gym.spec(name).max_episode_steps - 40  # type: ignore[operator]  # each of ours has a limit
    ours, theirs = NativeVectorEnv(name, num_envs, autoreset_mode=mode, copy=copy), make_sync(name, num_envs, mode=mode)
    ours.action_space.seed(3)
    ours.reset(seed=5)
    theirs.reset(seed=5)
    for i in range(num_envs):  # episodes that are nearly over, so that each env meets its time limit
        ours._native.set_state(i, ours._native.get_state(i), age + i)
        theirs.envs[i].env._elapsed_steps = age + i
        theirs.envs[i].episode_lengths = age + i
    num_ended = 0
    for t in range(60):
        for i in range(num_envs):
            state = ours._native.get_state(i)
            theirs.envs[i].unwrapped.state = state if name == "MountainCarContinuous-v0" else state.astype(np.float64)
        restarting = theirs._autoreset_envs.copy()
        actions = ours.action_space.sample()
        observations, rewards, terminations, truncations, infos = ours.step(actions)
        expected, their_rewards, their_terminations, their_truncations, their_infos = theirs.step(actions)
        begun = restarting if mode is AutoresetMode.NEXT_STEP else terminations | truncations
        np.testing.assert_allclose(observations[~begun], expected[~begun], rtol=1e-5, atol=1e-5, err_msg=str(t))
        np.testing.assert_allclose(rewards, their_rewards, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(terminations, their_terminations)
        np.testing.assert_array_equal(truncations, their_truncations)
        assert terminations.dtype == truncations.dtype == their_terminations.dtype
        num_ended += int((terminations | truncations).sum())
        for k in np.flatnonzero(begun):
            np.testing.assert_array_equal(observations[k], ours._native.observe()[k])
        if mode is AutoresetMode.SAME_STEP:
            assert set(infos) == set(their_infos)
            if begun.any():
                assert_same_endings(infos, their_infos, begun)
    assert num_ended >= num_envs


def assert_same_endings(ours: dict[str, Any], theirs: dict[str, Any], ended: npt.NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(ours["_final_obs"], theirs["_final_obs"])
    np.testing.assert_array_equal(ours["_final_info"], theirs["_final_info"])
    mine, their = ours["final_info"]["episode"], theirs["final_info"]["episode"]
    np.testing.assert_allclose(mine["r"], their["r"], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(mine["l"], their["l"])
    for key in ("_r", "_l"):
        np.testing.assert_array_equal(mine[key], their[key])
    for i in range(len(ended)):
        assert (ours["final_obs"][i] is None) == (not ended[i])
        if ended[i]:
            np.testing.assert_allclose(ours["final_obs"][i], theirs["final_obs"][i], rtol=1e-5, atol=1e-5)


def test_equal_seeds_give_equal_bytes_and_no_seed_goes_on() -> None:
    first, second = NativeVectorEnv("CartPole-v1", 4), NativeVectorEnv("CartPole-v1", 4, threads=2)
    assert first.reset(seed=9)[0].tobytes() == second.reset(seed=9)[0].tobytes()
    assert first.reset()[0].tobytes() == second.reset()[0].tobytes()
    assert first.reset()[0].tobytes() != first.reset(seed=10)[0].tobytes()
    assert first.np_random_seed == 10
    for env in (first, second):
        env.reset(seed=9)
    for _ in range(100):
        a, b = (env.step(np.array([0, 1, 1, 0])) for env in (first, second))
        assert a[0].tobytes() == b[0].tobytes()


def test_copies_are_kept_and_views_are_not() -> None:
    keeping, reusing = NativeVectorEnv("Pendulum-v1", 2), NativeVectorEnv("Pendulum-v1", 2, copy=False)
    action = np.ones((2, 1), dtype=np.float32)
    for env in (keeping, reusing):
        start, _ = env.reset(seed=1)
        before = start.copy()
        first = env.step(action)
        second = env.step(action)
        assert np.shares_memory(first[0], second[0]) == (env is reusing)
        assert np.array_equal(start, before) == (env is keeping)


def test_final_observations_outlive_the_next_episode() -> None:
    env = NativeVectorEnv("CartPole-v1", 1, copy=False)
    env.reset(seed=0)
    kept: list[tuple[Any, npt.NDArray[np.float32]]] = []
    for _ in range(100):
        infos = env.step(np.array([1]))[4]
        if infos:
            kept.append((infos["final_obs"][0], infos["final_obs"][0].copy()))
    assert len(kept) > 5
    assert all(np.array_equal(now, then) for now, then in kept)


@pytest.mark.parametrize(
    ("name", "actions", "message"),
    [
        ("CartPole-v1", np.array([0, 2]), "the action of env 1 is 2"),
        ("CartPole-v1", np.array([-1, 0]), "the action of env 0 is -1"),
        ("CartPole-v1", np.array([0.5, 0]), "the action of env 0 is 0.5"),
        ("CartPole-v1", np.array([1]), "shape"),
        ("CartPole-v1", np.array([[1], [1]]), "shape"),
        ("CartPole-v1", np.array(["left", "right"]), "numbers"),
        ("Pendulum-v1", np.array([[0.0], [np.nan]]), "the action of env 1 is nan"),
        ("Pendulum-v1", np.array([[0.0], [np.inf]], dtype=np.float32), "the action of env 1 is inf"),
        ("Pendulum-v1", np.zeros(2), "shape"),
    ],
)
def test_bad_actions_are_named_and_change_nothing(name: str, actions: npt.NDArray[Any], message: str) -> None:
    env = NativeVectorEnv(name, 2)
    before, _ = env.reset(seed=1)
    with pytest.raises(ValueError, match=message):
        env.step(actions)
    assert env._native.observe().tobytes() == before.tobytes()


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="CartPole-v1"):
        NativeVectorEnv("CartPole-v0", 1)
    with pytest.raises(ValueError, match="length"):
        NativeVectorEnv("CartPole-v1", 1, params={"lenght": 1.0})
    with pytest.raises(ValueError, match="num_envs"):
        NativeVectorEnv("CartPole-v1", 0)
    with pytest.raises(ValueError, match="do not render"):
        NativeVectorEnv("CartPole-v1", 1, render_mode="human")
    with pytest.raises(ValueError, match="autoreset_mode"):
        NativeVectorEnv("CartPole-v1", 1, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ValueError, match="low"):
        NativeVectorEnv("CartPole-v1", 1).reset(options={"low": 0.0})


def test_misaligned_actions_are_copied() -> None:
    env, other = NativeVectorEnv("Pendulum-v1", 2), NativeVectorEnv("Pendulum-v1", 2)
    actions = np.empty(9, np.uint8)[1:].view(np.float32).reshape(2, 1)
    actions[:] = [[0.5], [-1.5]]
    for each in (env, other):
        each.reset(seed=1)
    assert env.step(actions)[0].tobytes() == other.step(actions.copy())[0].tobytes()


def test_autoreset_mode_may_be_a_text_as_gymnasiums() -> None:
    for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        assert NativeVectorEnv("CartPole-v1", 1, autoreset_mode=mode.value).metadata["autoreset_mode"] is mode
    with pytest.raises(ValueError, match="autoreset_mode must be SAME_STEP or NEXT_STEP, got Disabled"):
        NativeVectorEnv("CartPole-v1", 1, autoreset_mode="Disabled")


def test_params_change_the_physics() -> None:
    usual, long = NativeVectorEnv("CartPole-v1", 1), NativeVectorEnv("CartPole-v1", 1, params={"length": 2.0})
    assert usual.reset(seed=3)[0].tobytes() == long.reset(seed=3)[0].tobytes()
    action = np.array([1])
    assert abs(usual.step(action)[0][0, 3]) > 1.5 * abs(long.step(action)[0][0, 3])


def test_a_closed_env_says_so() -> None:
    env = NativeVectorEnv("CartPole-v1", 1)
    env.reset(seed=0)
    env.close()
    env.close()
    with pytest.raises(ClosedEnvironmentError):
        env.step(np.array([0]))
    with pytest.raises(ClosedEnvironmentError):
        env.reset()


def test_make_vec_and_gymnasiums_wrappers_take_it() -> None:
    register_envs()
    register_envs()
    env = gym.make_vec("murmuration/Acrobot-v1", num_envs=5, threads=2, autoreset_mode=AutoresetMode.NEXT_STEP)
    assert isinstance(env.unwrapped, NativeVectorEnv)
    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(gym.wrappers.vector.NormalizeObservation(env))
    wrapped.reset(seed=1)
    for _ in range(600):
        observations, *_ = wrapped.step(wrapped.action_space.sample())
        assert np.isfinite(observations).all()
    assert len(wrapped.return_queue) >= 5
    assert max(wrapped.length_queue) <= 500
    assert min(wrapped.length_queue) > 10
