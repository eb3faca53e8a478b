"""A batch of environments in Python does what Gymnasium's environments do one by one."""

import math
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Discrete

from peer.errors import EnvFailedError
from peer.native import CheckpointError, EnvVariant, NonFiniteError, PpoSettings, VectorEnv, env_spec, make_ppo_agent
from peer.python_envs.registration import register_env
from tests.unit.python_envs.sample_envs import LIMIT, Corridor, Fixed, name

CORRIDOR = name("Corridor-v0")
RIGHT, LEFT = 1.0, 0.0


def batch(env: str, count: int, *, seed: int = 0, **params: float) -> VectorEnv:
    register_env(env)
    envs = VectorEnv(env, count, seed)
    if params:
        envs.assign_variants([EnvVariant(params=list(params.items()), seed_start=0, seed_end=1000, count=count)])
    return envs


def variant(count: int, *, seeds: tuple[int, int] = (0, 1000), **params: float) -> EnvVariant:
    return EnvVariant(params=list(params.items()), seed_start=seeds[0], seed_end=seeds[1], count=count)


def all_do(envs: VectorEnv, action: float) -> tuple[Any, ...]:
    return envs.step(np.full((envs.num_envs, envs.spec.action_dim), action, np.float32))


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCarContinuous-v0"])
def test_every_step_is_that_of_gymnasium(env: str) -> None:
    """With the seed of every episode known, against environments that Gymnasium itself steps and restarts."""
    count, seed = 3, 77
    envs = batch(f"gymnasium:{env}", count)
    envs.assign_variants([variant(count, seeds=(seed, seed + 1))])
    theirs: list[Any] = [gym.make(env) for _ in range(count)]
    seen = np.array([each.reset(seed=seed)[0] for each in theirs], np.float32)
    assert np.array_equal(envs.observe(), seen)
    rng, totals, lengths, ended = np.random.default_rng(1), np.zeros(count), np.zeros(count, int), 0
    for _ in range(1100):
        choice = [each.action_space.sample() if i else rng.integers(2) for i, each in enumerate(theirs)]
        if not envs.spec.discrete:
            choice = [rng.uniform(-3.0, 3.0, size=1).astype(np.float32) for _ in theirs]  # beyond the bounds as well
        observations, rewards, terminated, truncated, last, returns, steps = envs.step(
            np.array(choice, np.float32).reshape(count, -1)
        )
        for i, each in enumerate(theirs):
            clipped = (
                choice[i] if envs.spec.discrete else np.clip(choice[i], each.action_space.low, each.action_space.high)
            )
            seen, reward, is_end, is_cut, _ = each.step(clipped)
            totals[i] += float(reward)
            lengths[i] += 1
            assert rewards[i] == np.float32(reward)
            assert (terminated[i], truncated[i]) == (is_end, is_cut)
            if is_end or is_cut:
                assert np.array_equal(last[i], np.asarray(seen, np.float32))
                assert returns[i] == pytest.approx(totals[i], rel=1e-5)
                assert steps[i] == lengths[i]
                totals[i], lengths[i], ended = 0.0, 0, ended + 1
                seen, _ = each.reset(seed=seed)
            assert np.array_equal(observations[i], np.asarray(seen, np.float32))
    assert ended >= count


def test_what_the_core_knows_of_an_environment() -> None:
    register_env(CORRIDOR)
    spec = env_spec(CORRIDOR)
    assert (spec.name, spec.obs_dim, spec.num_actions, spec.action_dim) == (CORRIDOR, 2, 2, 1)
    assert (spec.discrete, spec.state_dim, spec.max_episode_steps) == (True, 0, LIMIT)
    assert [(each.name, each.default_value) for each in spec.params] == [
        ("length", 5.0),
        ("slip", 0.0),
        ("backwards", 0.0),
        ("fails_at_step", 0.0),
        ("fails_in_reset", 0.0),
        ("exits_in_reset", 0.0),
        ("wide", 0.0),
        ("patience", math.inf),
        ("most", float(sys.maxsize)),
    ]  # not those that the core cannot hold, or that Gymnasium keeps to itself
    register_env("gymnasium:Pendulum-v1")
    spec = env_spec("gymnasium:Pendulum-v1")
    assert (spec.discrete, spec.num_actions, spec.action_low.tolist(), spec.action_high.tolist()) == (
        False,
        0,
        [-2],
        [2],
    )


def test_the_time_limit_truncates() -> None:
    envs = batch(CORRIDOR, 2)
    flags = [all_do(envs, LEFT)[2:4] for _ in range(LIMIT)]
    assert not any(terminated.any() for terminated, _ in flags)
    assert [bool(truncated.all()) for _, truncated in flags] == [False] * (LIMIT - 1) + [True]


def test_each_variant_has_its_parameters_of_the_kind_that_the_constructor_wants() -> None:
    envs = batch(CORRIDOR, 4)
    changed = envs.assign_variants([variant(1), variant(2, length=3.0), variant(1, backwards=1.0)])
    assert changed == [1, 2, 3] or len(changed) == 4  # the seeds of the first are others than the default's, too
    assert envs.observe()[:, 1].tolist() == [5.0, 3.0, 3.0, 5.0]
    for _ in range(2):
        all_do(envs, RIGHT)
    _, _, terminated, _, _, _, lengths = all_do(envs, RIGHT)
    assert terminated.tolist() == [0, 1, 1, 0]
    assert lengths.tolist() == [0, 3, 3, 0]
    assert envs.observe()[:, 0].tolist() == [3.0, 0.0, 0.0, 0.0]  # the last one walks to the left


def test_environments_of_a_variant_that_stays_go_on() -> None:
    envs = batch(CORRIDOR, 2)
    envs.assign_variants([variant(1), variant(1, length=3.0)])
    all_do(envs, RIGHT)
    assert envs.assign_variants([variant(1), variant(1, length=4.0)]) == [1]
    assert envs.observe().tolist() == [[1.0, 5.0], [0.0, 4.0]]


def test_registered_arguments_go_before_the_constructors_own() -> None:
    envs = batch(name("LongCorridor-v0"), 1)
    assert envs.observe().tolist() == [[0.0, 9.0]]
    assert {each.name: each.default_value for each in envs.spec.params}["length"] == 9.0


def test_equal_seeds_play_equal_episodes_and_others_do_not() -> None:
    def played(seed: int) -> list[float]:
        envs = batch("gymnasium:CartPole-v1", 3, seed=seed)
        return [float(value) for _ in range(100) for value in all_do(envs, RIGHT)[0].ravel()]

    assert played(1) == played(1) != played(2)


def test_observations_and_actions_of_other_shapes_are_flattened() -> None:
    assert batch(name("Choosing-v0"), 1).observe().tolist() == [[0.0, 0.0, 1.0]]
    assert batch(name("Named-v0"), 1).observe().tolist() == [[0.0, 1.0, 7.0]]
    envs = batch(name("Shaped-v0"), 1)
    assert envs.observe().tolist() == [[1.0, 2.0, 3.0, 4.0]]
    Fixed.actions.clear()
    envs.step(np.array([[0.5, 5.0]], np.float32))
    (action,) = Fixed.actions
    assert action.dtype == np.float64
    assert action.tolist() == [[0.5, 2.0]]
    assert envs.spec.action_low.tolist() == [-1.0, -2.0]


def test_a_choice_comes_as_the_number_that_the_space_draws() -> None:
    envs = batch(name("Choosing-v0"), 1)
    Fixed.actions.clear()
    all_do(envs, 3.0)
    (action,) = Fixed.actions
    assert (type(action), action.item()) == (type(Discrete(4).sample()), 3)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("Late-v0", "must be a Discrete that counts from 0, or a Box"),
        ("Many-v0", r"got MultiDiscrete\(\[2 2\]\)"),
        ("Huge-v0", "must be 1 to 65536 numbers, got 90000"),
        ("Growing-v0", "must be of a fixed number of numbers, got Sequence"),
        ("Missionary-v0", r"must be of a fixed number of numbers, got Dict\('mission': .*Missions"),
        ("Endless-v0", "it has no time limit, and may never end: register it with max_episode_steps"),
        ("Coridor-v0", "NameNotFound: .*Did you mean: `Corridor`"),
        ("Élan-v0", "1 to 64 characters of printable ASCII, as checkpoints name it"),
    ],
)
def test_environments_that_nothing_can_be_trained_in_are_refused(env: str, message: str) -> None:
    for _ in range(2):  # and stay unknown
        with pytest.raises(ValueError, match=message):
            register_env(name(env))
    with pytest.raises(ValueError, match="unknown env"):
        env_spec(name(env))


def test_a_module_that_cannot_be_imported_is_told() -> None:
    with pytest.raises(ValueError, match=r"ModuleNotFoundError: No module named 'no_such_module'$"):
        register_env("no_such_module:Env-v0")


def test_a_module_that_exits_when_it_is_imported_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exiting_module.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"^SystemExit: 0 \(.*exiting_module.py:2\)$"):
        register_env("exiting_module:Env-v0")


def test_the_place_of_an_error_is_not_in_pythons_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "misreading_module.py").write_text('import json\njson.loads("{")\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"misreading_module.py:2\)$"):
        register_env("misreading_module:Env-v0")


def test_a_working_directory_that_was_removed_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ValueError, match="No module named 'module_of_nowhere'"):
        register_env("module_of_nowhere:Env-v0")
    monkeypatch.chdir(tmp_path)


def test_nothing_in_the_working_directory_is_imported_for_gymnasiums_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory may be one that came with a model which names such an environment."""
    (tmp_path / "jax.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ValueError, match="jax"):
        register_env("gymnasium:phys2d/CartPole-v1")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("Lying-v0", r"failed in reset\(seed=\d+\): ValueError: observations have shape \(2,\), got \(3,\)"),
        ("Deserted-v0", r"failed in reset\(seed=\d+\): SystemExit: nobody is here \(.*sample_envs.py:\d+\)"),
        ("Locked-v0", r"failed in reset\(seed=\d+\): RuntimeError: the door is locked \(.*sample_envs.py:\d+\)"),
    ],
)
def test_what_fails_in_reset_names_environment_and_place(env: str, message: str) -> None:
    with pytest.raises(EnvFailedError, match=f"{env} {message}"):
        batch(name(env), 2)


def test_what_fails_in_a_step_names_environment_action_and_place() -> None:
    envs = batch(name("Collapsing-v0"), 1)
    for _ in range(49):
        all_do(envs, RIGHT)
    with pytest.raises(
        EnvFailedError, match=r"Collapsing-v0 failed in step\(1\): ZeroDivisionError: the floor"
    ) as caught:
        all_do(envs, RIGHT)
    assert "sample_envs.py:" in str(caught.value)


def test_a_reward_that_is_no_number_is_told() -> None:
    with pytest.raises(EnvFailedError, match=r"ValueError: a reward must be one number, got \[1\.0, 2\.0\]"):
        all_do(batch(name("Twofold-v0"), 1), LEFT)


def test_what_a_constructor_refuses_is_told_with_the_parameters() -> None:
    with pytest.raises(EnvFailedError, match=r"cannot be made with {'length': -1.0}: ValueError: a corridor"):
        batch(CORRIDOR, 1, length=-1.0)
    with pytest.raises(ValueError, match=r"parameter 'length' must be a whole number, got 2\.5"):
        batch(CORRIDOR, 1, length=2.5)


def test_states_are_not_read_or_set_and_batches_are_bounded() -> None:
    envs = batch(CORRIDOR, 1)
    with pytest.raises(ValueError, match="runs in Python, cannot be read"):
        envs.get_state(0)
    with pytest.raises(ValueError, match="runs in Python, cannot be set"):
        envs.set_state(0, np.zeros(0, np.float32))
    with pytest.raises(ValueError, match=r"at most 4096 times at once .*, got 4097"):
        VectorEnv(CORRIDOR, 4097, 0)


def settings() -> PpoSettings:
    return PpoSettings(hidden=(8,), num_envs=4, rollout_steps=16, minibatch_size=32, device="cpu")


def test_training_is_the_same_for_every_learner_of_one_seed() -> None:
    register_env(CORRIDOR)
    one, two = (make_ppo_agent(CORRIDOR, settings()) for _ in range(2))
    for agent in (one, two):
        agent.train(512, 60.0)
    assert np.array_equal(one.get_params(), two.get_params())


def test_iterations_before_an_environment_fails_count_and_the_one_in_which_it_does_leaves_nothing() -> None:
    """4 environments of 16 steps an iteration, which fail in their 50th step: in the fourth iteration."""
    register_env(name("Collapsing-v0"))
    failing, bounded = (make_ppo_agent(name("Collapsing-v0"), settings()) for _ in range(2))
    stats, expected = failing.train(10_000, 60.0), bounded.train(3 * 64, 60.0)
    assert (stats.env_steps, failing.env_steps) == (3 * 64, 3 * 64)
    assert (stats.episodes, stats.mean_return) == (expected.episodes, expected.mean_return)
    assert np.array_equal(failing.get_params(), bounded.get_params())
    for kept, wanted in zip(failing.moments(), bounded.moments(), strict=True):
        assert np.array_equal(kept, wanted)
    with pytest.raises(EnvFailedError, match="the floor gave way"):
        failing.train(64, 60.0)
    assert failing.env_steps == 3 * 64


@pytest.mark.parametrize(("env", "culprit"), [("Hazy-v0", "observation"), ("Worthless-v0", "reward")])
def test_what_is_not_finite_stops_training(env: str, culprit: str) -> None:
    register_env(name(env))
    agent = make_ppo_agent(name(env), settings())
    with pytest.raises(NonFiniteError, match=culprit):
        agent.train(64, 60.0)


def test_a_saved_learner_goes_on_with_new_episodes() -> None:
    register_env(CORRIDOR)
    first = make_ppo_agent(CORRIDOR, settings())
    first.assign_variants([variant(2, length=3.0), variant(2)])
    first.train(256, 60.0)
    saved = first.save()
    agents = [make_ppo_agent(CORRIDOR, settings()) for _ in range(2)]
    for agent in agents:
        agent.load(saved)
        agent.train(256, 60.0)
    assert np.array_equal(agents[0].get_params(), agents[1].get_params())
    assert agents[0].env_steps == 512
    assert [stats.episodes > 0 for stats in agents[0].train(256, 60.0).variants] == [True, True]
    with pytest.raises(CheckpointError):
        agents[0].load(saved[:-1])
    register_env(name("LongCorridor-v0"))
    with pytest.raises(CheckpointError, match="of another model"):
        make_ppo_agent(name("LongCorridor-v0"), settings()).load(saved)


def test_the_discounted_return_of_a_saved_learner_begins_anew_with_the_episodes() -> None:
    """It scales rewards: what is left of episodes that were dropped is part of no new one."""
    env = name("Choosing-v0")  # a reward of 0.5 a step, and episodes longer than a rollout
    register_env(env)
    agent = make_ppo_agent(env, settings())
    agent.train(1, 60.0)
    agent.load(agent.save())
    agent.set_model(agent.get_params(), *agent.moments())
    agent.train(1, 60.0)
    returns = [0.5 * (1 - 0.99**steps) / (1 - 0.99) for steps in range(1, 17)]
    assert agent.new_moments()[1][-1] == pytest.approx(np.mean(returns), rel=1e-5)


def test_evaluation_steps_nobody_whose_episode_has_ended() -> None:
    env = name("Slippery-v0")
    register_env(env)
    agent = make_ppo_agent(env, settings())
    Corridor.walked = 0
    returns = agent.evaluate_returns(20, 3)
    assert Corridor.walked == sum(round((1.0 - value) / 0.01) + 1 if value > 0 else LIMIT for value in returns)
    assert len(set(returns)) > 1
    assert returns == agent.evaluate_returns(20, 3)
