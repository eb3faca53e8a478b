"""Every native environment steps, ends and resets as Gymnasium's own does, from the same states and actions."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import ks_2samp

from peer.native import EnvVariant, VectorEnv, env_names

GymEnv = Any  # Gymnasium declares no type for the attributes of its classic-control envs
Floats = npt.NDArray[np.float32]
Policy = Callable[[np.random.Generator, Floats], Floats]

NUM_ENVS = 500
STEPS = 400  # 200,000 single steps per environment

# 1e-5 relative; the absolute part is for numbers near 0 that are the difference of larger ones.
RTOL, ATOL = 1e-5, 1e-6


def cartpole_policy(rng: np.random.Generator, observations: Floats) -> Floats:
    """Half of the envs balance well enough to meet the time limit, the others act at random and fall."""
    balanced = observations[:, 2] + 0.3 * observations[:, 3] + 0.02 * observations[:, 0] + 0.05 * observations[:, 1] > 0
    chosen = rng.integers(2, size=len(observations)).astype(bool)
    chosen[::2] = balanced[::2]
    return chosen.astype(np.float32)[:, None]


def pendulum_policy(rng: np.random.Generator, observations: Floats) -> Floats:
    """Torques within the limits and beyond; some envs are driven round and round at full speed."""
    torques = rng.uniform(-3.0, 3.0, size=len(observations)).astype(np.float32)
    torques[::5] = 2.0
    return torques[:, None]


POLICIES: dict[str, Policy] = {"CartPole-v1": cartpole_policy, "Pendulum-v1": pendulum_policy}


def make_gym(name: str) -> GymEnv:
    env = gym.make(name, disable_env_checker=True)
    env.reset(seed=0)
    return env


def gym_step(env: GymEnv, state: Floats, action: np.float32, elapsed: int) -> tuple[Floats, float, bool, bool]:
    """Step Gymnasium's env, its time limit included, from `state` after `elapsed` steps of an episode."""
    inner = env.unwrapped
    inner.state = state.astype(np.float64)
    inner.steps_beyond_terminated = None
    env._elapsed_steps = elapsed
    discrete = isinstance(inner.action_space, gym.spaces.Discrete)
    observation, reward, terminated, truncated, _ = env.step(int(action) if discrete else np.array([action]))
    return observation, float(reward), bool(terminated), bool(truncated)


def test_every_env_of_the_registry_is_compared() -> None:
    assert set(env_names()) == set(POLICIES)


@pytest.mark.parametrize("name", POLICIES)
def test_steps_equal_gymnasium_from_the_same_states_and_actions(name: str) -> None:
    rng = np.random.default_rng(12)
    ours = VectorEnv(name, NUM_ENVS, seed=3)
    theirs = make_gym(name)
    limit = ours.spec.max_episode_steps
    # Episodes of all ages, so that time limits are met all along and not only by those that last.
    elapsed = rng.integers(limit, size=NUM_ENVS)
    for i in range(NUM_ENVS):
        ours.set_state(i, ours.get_state(i), int(elapsed[i]))

    observations = ours.observe()
    num_terminated = num_truncated = 0
    for t in range(STEPS):
        states = [ours.get_state(i) for i in range(NUM_ENVS)]
        actions = POLICIES[name](rng, observations)
        observations, rewards, terminated, truncated, final_observations, _, _ = ours.step(actions)
        ended = (terminated | truncated).astype(bool)
        seen = np.where(ended[:, None], final_observations, observations)

        expected = [gym_step(theirs, states[i], actions[i, 0], int(elapsed[i])) for i in range(NUM_ENVS)]
        where = f"{name}, step {t}"
        np.testing.assert_allclose(seen, np.stack([e[0] for e in expected]), rtol=RTOL, atol=ATOL, err_msg=where)
        np.testing.assert_allclose(rewards, [e[1] for e in expected], rtol=RTOL, atol=ATOL, err_msg=where)
        np.testing.assert_array_equal(terminated.astype(bool), [e[2] for e in expected], err_msg=where)
        np.testing.assert_array_equal(truncated.astype(bool), [e[3] for e in expected], err_msg=where)
        num_terminated += int(terminated.sum())
        num_truncated += int(truncated.sum())
        elapsed = np.where(ended, 0, elapsed + 1)

    assert num_truncated > 100
    assert (num_terminated > 100) == (name == "CartPole-v1")  # Pendulum never terminates


def test_cartpole_that_falls_on_its_last_step_is_terminated_and_truncated() -> None:
    ours = VectorEnv("CartPole-v1", 1, seed=0)
    theirs = make_gym("CartPole-v1")
    state = np.array([0.0, 0.0, 0.209, 3.0], dtype=np.float32)
    ours.set_state(0, state, 499)
    _, rewards, terminated, truncated, _, returns, lengths = ours.step(np.array([[1.0]], dtype=np.float32))
    expected = gym_step(theirs, state, np.float32(1.0), 499)
    assert (bool(terminated[0]), bool(truncated[0])) == expected[2:] == (True, True)
    assert rewards[0] == expected[1] == 1.0
    assert returns[0] == 1.0
    assert lengths[0] == 500


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("CartPole-v1", {"length": 1.25, "masspole": 0.4}),
        ("CartPole-v1", {"gravity": 20.0, "force_mag": 5.0, "masscart": 2.0, "tau": 0.01}),
        ("Pendulum-v1", {"g": 9.81, "m": 2.0}),
        ("Pendulum-v1", {"l": 0.6, "dt": 0.02}),
    ],
)
def test_variants_equal_gymnasium_with_the_same_attributes(name: str, params: dict[str, float]) -> None:
    rng = np.random.default_rng(4)
    ours = VectorEnv(name, NUM_ENVS, seed=8)
    ours.assign_variants([EnvVariant(params=list(params.items()), seed_start=0, seed_end=10**6, count=NUM_ENVS)])
    theirs = make_gym(name)
    inner = theirs.unwrapped
    for key, value in params.items():
        assert hasattr(inner, key), f"Gymnasium's {name} has no attribute {key}"
        setattr(inner, key, value)
    if name == "CartPole-v1":  # what its constructor derives
        inner.total_mass = inner.masspole + inner.masscart
        inner.polemass_length = inner.masspole * inner.length

    observations = ours.observe()
    for t in range(20):
        states = [ours.get_state(i) for i in range(NUM_ENVS)]
        actions = POLICIES[name](rng, observations)
        observations, rewards, terminated, truncated, final_observations, _, _ = ours.step(actions)
        ended = (terminated | truncated).astype(bool)
        seen = np.where(ended[:, None], final_observations, observations)
        expected = [gym_step(theirs, states[i], actions[i, 0], 0) for i in range(NUM_ENVS)]
        np.testing.assert_allclose(seen, np.stack([e[0] for e in expected]), rtol=RTOL, atol=ATOL, err_msg=f"step {t}")
        np.testing.assert_allclose(rewards, [e[1] for e in expected], rtol=RTOL, atol=ATOL)
        np.testing.assert_array_equal(terminated.astype(bool), [e[2] for e in expected])


@pytest.mark.parametrize("name", POLICIES)
def test_first_observations_have_the_same_distribution(name: str) -> None:
    count = 4000
    ours = VectorEnv(name, count, seed=21).observe()
    env = make_gym(name)
    theirs = np.stack([env.reset(seed=i)[0] for i in range(count)])
    for k in range(ours.shape[1]):
        assert ks_2samp(ours[:, k], theirs[:, k]).pvalue > 0.001, f"dimension {k}"
