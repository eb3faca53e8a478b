"""Every native environment steps, ends and resets as Gymnasium's own does, from the same states and actions."""

import os
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import ks_2samp

from peer.native import EnvVariant, VectorEnv, env_names, env_spec

GymEnv = Any  # Gymnasium declares no type for the attributes of its classic-control envs
Floats = npt.NDArray[np.float32]
Policy = Callable[[np.random.Generator, Floats], Floats]

NUM_ENVS = 500
# 200,000 single steps per environment; MURMUR_GYMNASIUM_STEPS=2000 makes it a million.
STEPS = int(os.environ.get("MURMUR_GYMNASIUM_STEPS", "400"))

# 1e-5 relative; the absolute part, a small fraction of each number's range, is for those near 0 that are the
# difference of larger ones.
RTOL = 1e-5
ATOL: dict[str, list[float]] = {
    "CartPole-v1": [1e-6] * 4,
    "MountainCar-v0": [1e-7, 1e-9],
    "MountainCarContinuous-v0": [1e-7, 1e-9],
    "Acrobot-v1": [1e-6, 1e-6, 1e-6, 1e-6, 1e-5, 1e-5],
    "Pendulum-v1": [1e-6] * 3,
}


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


def car_pushes(rng: np.random.Generator, observations: Floats) -> npt.NDArray[np.int64]:
    """Push left, not or right (-1, 0, 1): half of the cars mostly the way they roll, up to the goal.

    The others push at random, and some left all the time, into the wall.
    """
    pushes = rng.integers(3, size=len(observations)) - 1
    swinging = (rng.random(len(observations)) < 0.8) & (np.arange(len(observations)) % 2 == 0)
    pushes = np.where(swinging, np.where(observations[:, 1] < 0, -1, 1), pushes)
    pushes[1::10] = -1
    return pushes


def mountain_car_policy(rng: np.random.Generator, observations: Floats) -> Floats:
    return (car_pushes(rng, observations) + 1).astype(np.float32)[:, None]


def mountain_car_continuous_policy(rng: np.random.Generator, observations: Floats) -> Floats:
    """Pushes of any size, within the limits and beyond."""
    sizes = rng.uniform(0.3, 1.5, size=len(observations))
    return (car_pushes(rng, observations) * sizes).astype(np.float32)[:, None]


def acrobot_policy(rng: np.random.Generator, observations: Floats) -> Floats:
    """Two thirds of the arms are mostly swung up to the goal, by the elbow's motion; the others act at random."""
    torques = rng.integers(3, size=len(observations))
    swinging = (rng.random(len(observations)) < 0.9) & (np.arange(len(observations)) % 3 != 0)
    torques = np.where(swinging, np.where(observations[:, 4] > 0, 0, 2), torques)
    return torques.astype(np.float32)[:, None]


POLICIES: dict[str, Policy] = {
    "CartPole-v1": cartpole_policy,
    "MountainCar-v0": mountain_car_policy,
    "MountainCarContinuous-v0": mountain_car_continuous_policy,
    "Acrobot-v1": acrobot_policy,
    "Pendulum-v1": pendulum_policy,
}


def make_gym(name: str) -> GymEnv:
    """Make Gymnasium's env; torques and pushes beyond the limits are clipped, as by ours and as its own users do."""
    env = gym.make(name, disable_env_checker=True)
    if not env_spec(name).discrete:
        env = gym.wrappers.ClipAction(env)
    env.reset(seed=0)
    return env


def time_limit_of(env: GymEnv) -> GymEnv:
    while not isinstance(env, gym.wrappers.TimeLimit):
        env = env.env
    return env


def gym_step(env: GymEnv, state: Floats, action: np.float32, elapsed: int) -> tuple[Floats, float, bool, bool]:
    """Step Gymnasium's env, its time limit included, from `state` after `elapsed` steps of an episode."""
    inner = env.unwrapped
    inner.state = state.astype(np.float32 if type(inner).__name__ == "Continuous_MountainCarEnv" else np.float64)
    inner.steps_beyond_terminated = None
    time_limit_of(env)._elapsed_steps = elapsed
    discrete = isinstance(inner.action_space, gym.spaces.Discrete)
    observation, reward, terminated, truncated, _ = env.step(int(action) if discrete else np.array([action]))
    return observation, float(reward), bool(terminated), bool(truncated)


def assert_close(ours: npt.ArrayLike, theirs: npt.ArrayLike, *, atol: list[float], where: str) -> None:
    """Compare columns, each with its own absolute tolerance."""
    got, expected = np.asarray(ours), np.asarray(theirs)
    wrong = np.abs(got - expected) > RTOL * np.abs(expected) + np.asarray(atol)
    assert not wrong.any(), f"{where}: {got[wrong]} instead of {expected[wrong]}"


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
        assert_close(seen, np.stack([e[0] for e in expected]), atol=ATOL[name], where=where)
        assert_close(rewards, [e[1] for e in expected], atol=[1e-6], where=where)
        np.testing.assert_array_equal(terminated.astype(bool), [e[2] for e in expected], err_msg=where)
        np.testing.assert_array_equal(truncated.astype(bool), [e[3] for e in expected], err_msg=where)
        num_terminated += int(terminated.sum())
        num_truncated += int(truncated.sum())
        elapsed = np.where(ended, 0, elapsed + 1)

    assert num_truncated > 100
    assert (num_terminated > 100) == (name != "Pendulum-v1")  # which never terminates


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


def attribute_for(name: str, param: str, value: float) -> tuple[str, object]:
    """Return what Gymnasium's env calls a parameter of ours, and the value as it wants it."""
    if param == "torque":
        return "AVAIL_TORQUE", [-value, 0.0, value]
    return (param.upper() if name == "Acrobot-v1" and param != "dt" else param), value


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("CartPole-v1", {"length": 1.25, "masspole": 0.4}),
        ("CartPole-v1", {"gravity": 20.0, "force_mag": 5.0, "masscart": 2.0, "tau": 0.01}),
        ("MountainCar-v0", {"force": 0.002, "gravity": 0.003}),
        ("MountainCar-v0", {"goal_position": 0.1, "goal_velocity": 0.02}),
        ("MountainCarContinuous-v0", {"power": 0.003, "goal_position": 0.2, "goal_velocity": 0.01}),
        ("Acrobot-v1", {"link_length_1": 0.7, "link_mass_1": 2.0, "link_mass_2": 0.5, "dt": 0.05}),
        ("Acrobot-v1", {"link_com_pos_1": 0.3, "link_com_pos_2": 0.9, "link_moi": 0.6, "torque": 3.0}),
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
        attribute, theirs_value = attribute_for(name, key, value)
        assert hasattr(inner, attribute), f"Gymnasium's {name} has no attribute {attribute}"
        setattr(inner, attribute, theirs_value)
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
        assert_close(seen, np.stack([e[0] for e in expected]), atol=ATOL[name], where=f"step {t}")
        assert_close(rewards, [e[1] for e in expected], atol=[1e-6], where=f"step {t}")
        np.testing.assert_array_equal(terminated.astype(bool), [e[2] for e in expected])


def test_acrobots_gravity_scales_as_time_does() -> None:
    """Gymnasium has 9.8 in its code. Without torque, four times the gravity is the same swing at twice the speed."""
    states = np.random.default_rng(5).uniform([-3, -3, -2, -2], [3, 3, 2, 2], size=(200, 4)).astype(np.float32)
    swings = []
    for gravity, dt, speed_factor in ((9.8, 0.2, 1.0), (39.2, 0.1, 2.0)):
        env = VectorEnv("Acrobot-v1", 200, seed=0)
        params = [("gravity", gravity), ("dt", dt)]
        env.assign_variants([EnvVariant(params=params, seed_start=0, seed_end=9, count=200)])
        factors = np.array([1.0, 1.0, speed_factor, speed_factor], dtype=np.float32)
        for i in range(200):
            env.set_state(i, states[i] * factors)
        observations, _, terminated, _, final_observations, _, _ = env.step(np.ones((200, 1), dtype=np.float32))
        seen = np.where(terminated[:, None] != 0, final_observations, observations)
        swings.append(seen / np.array([1, 1, 1, 1, speed_factor, speed_factor]))
    assert_close(swings[1], swings[0], atol=[1e-6] * 4 + [1e-5] * 2, where="after one step")
    assert np.abs(swings[0][:, 4:]).max() < 12.0  # the speed limit, which does not scale, was not met


@pytest.mark.parametrize("start", [[-1.2, -0.03], [-1.19, -0.07], [-1.2, 0.0]])
@pytest.mark.parametrize("name", ["MountainCar-v0", "MountainCarContinuous-v0"])
def test_mountain_cars_stop_at_the_left_wall_as_gymnasiums_do(name: str, start: list[float]) -> None:
    state = np.array(start, dtype=np.float32)
    ours = VectorEnv(name, 1, seed=0)
    ours.set_state(0, state)
    action = np.zeros((1, 1), dtype=np.float32)
    observations = ours.step(action)[0]
    expected = gym_step(make_gym(name), state, action[0, 0], 0)[0]
    assert_close(observations[0], expected, atol=ATOL[name], where=str(start))
    assert observations[0, 0] >= np.float32(-1.2)


@pytest.mark.parametrize("name", POLICIES)
def test_first_observations_have_the_same_distribution(name: str) -> None:
    count = 4000
    ours = VectorEnv(name, count, seed=21).observe()
    env = make_gym(name)
    theirs = np.stack([env.reset(seed=i)[0] for i in range(count)])
    for k in range(ours.shape[1]):
        assert ks_2samp(ours[:, k], theirs[:, k]).pvalue > 0.001, f"dimension {k}"


def our_returns(name: str, episodes: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Play the first episode of each env: were all counted, those that end soon would be counted more often."""
    rng = np.random.default_rng(31)
    env = VectorEnv(name, episodes, seed=77)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    observations = env.observe()
    while (lengths == 0).any():
        observations, _, terminated, truncated, _, ended_returns, ended_lengths = env.step(
            POLICIES[name](rng, observations)
        )
        first = ((terminated | truncated) != 0) & (lengths == 0)
        returns[first], lengths[first] = ended_returns[first], ended_lengths[first]
    return returns, lengths


def gym_returns(name: str, episodes: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Play the same number in Gymnasium, `episodes` envs side by side, because the policy depends on their index."""
    rng = np.random.default_rng(32)
    envs = [make_gym(name) for _ in range(episodes)]
    observations = np.stack([env.reset(seed=1000 + i)[0] for i, env in enumerate(envs)])
    returns, lengths = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    running = set(range(episodes))
    discrete = env_spec(name).discrete
    while running:
        actions = POLICIES[name](rng, observations)
        for i in sorted(running):
            given = int(actions[i, 0]) if discrete else actions[i]
            observations[i], reward, terminated, truncated, _ = envs[i].step(given)
            returns[i] += float(reward)
            lengths[i] += 1
            if terminated or truncated:
                running.remove(i)
    return returns, lengths


@pytest.mark.parametrize("name", POLICIES)
def test_whole_episodes_have_the_same_distribution(name: str) -> None:
    ours, theirs = our_returns(name, 300), gym_returns(name, 300)
    assert ks_2samp(ours[0], theirs[0]).pvalue > 0.001, "returns"
    assert ks_2samp(ours[1], theirs[1]).pvalue > 0.001, "lengths"
    assert len(np.unique(ours[0])) > 20  # else the test would compare constants


@pytest.mark.parametrize("name", POLICIES)
def test_observations_stay_within_the_bounds_that_gymnasium_states(name: str) -> None:
    spec, space = env_spec(name), make_gym(name).observation_space
    np.testing.assert_array_equal(spec.obs_low, space.low)
    np.testing.assert_array_equal(spec.obs_high, space.high)
    rng = np.random.default_rng(6)
    env = VectorEnv(name, NUM_ENVS, seed=5)
    observations = env.observe()
    for _ in range(300):
        observations, _, terminated, truncated, final_observations, _, _ = env.step(POLICIES[name](rng, observations))
        ended = ((terminated | truncated) != 0)[:, None]
        for seen in (observations, np.where(ended, final_observations, observations)):
            assert (seen >= spec.obs_low).all()
            assert (seen <= spec.obs_high).all()
