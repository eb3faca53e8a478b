"""Environments that step together do for the core what Gymnasium's single ones do one by one."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from peer.errors import EnvFailedError
from peer.native import EnvVariant, NonFiniteError, PpoSettings, VectorEnv, env_spec, make_ppo_agent
from peer.python_envs.open_envs import close_all
from peer.python_envs.registration import register_env
from tests.unit.python_envs import sample_envs
from tests.unit.python_envs.sample_envs import LIMIT
from tests.unit.python_envs.sample_vector_envs import MODES, Misbehaving, name

SEED = 77
RIGHT, LEFT = 1.0, 0.0


def variant(count: int, *, seed: int = SEED, **params: float) -> EnvVariant:
    return EnvVariant(params=list(params.items()), seed_start=seed, seed_end=seed + 1, count=count)


def batch(env: str, *variants: EnvVariant) -> VectorEnv:
    register_env(env)
    envs = VectorEnv(env, sum(each.count for each in variants), 0)
    envs.assign_variants(list(variants))
    return envs


def all_do(envs: VectorEnv, action: float) -> tuple[Any, ...]:
    return envs.step(np.full((envs.num_envs, 1), action, np.float32))


def walk(envs: VectorEnv, steps: int) -> None:
    for _ in range(steps):
        all_do(envs, RIGHT)


def episodes_of_gymnasium(actions: list[int], seed: int) -> Iterator[tuple[Any, ...]]:
    """Play one single environment; yield what each step leads to, and whether an episode begins there."""
    env: Any = gym.make(sample_envs.name("Slippery-v0"))
    env.reset(seed=seed)
    for action in actions:
        seen, reward, terminated, truncated, _ = env.step(action)
        last = seen
        if terminated or truncated:
            seen, _ = env.reset()
        yield seen, reward, terminated, truncated, last


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_every_step_of_an_episode_is_that_of_a_single_environment(mode: AutoresetMode) -> None:
    count, steps = 5, 150
    envs = batch(name(f"{mode.value}-v0"), variant(count))
    rng = np.random.default_rng(3)
    chosen: list[list[int]] = [[] for _ in range(count)]
    got: list[list[tuple[Any, ...]]] = [[] for _ in range(count)]
    tallies: list[list[tuple[float, int]]] = [[] for _ in range(count)]
    skipped = 0
    for _ in range(steps):
        waiting = envs.waiting()
        actions = (rng.random((count, 1)) < 0.7).astype(np.float32)
        seen, rewards, terminated, truncated, last, returns, lengths = envs.step(actions)
        for i in range(count):
            if waiting[i]:
                assert (rewards[i], terminated[i], truncated[i], lengths[i]) == (0, 0, 0, 0)
                got[i][-1] = (seen[i].tolist(), *got[i][-1][1:])  # the next episode begins only now
                skipped += 1
                continue
            chosen[i].append(int(actions[i, 0]))
            ended = bool(terminated[i] or truncated[i])
            if ended:
                tallies[i].append((float(returns[i]), int(lengths[i])))
            final = last[i].tolist() if ended else seen[i].tolist()
            got[i].append((seen[i].tolist(), float(rewards[i]), bool(terminated[i]), bool(truncated[i]), final))
    assert (skipped > 0) == (mode is AutoresetMode.NEXT_STEP)
    for i in range(count):
        wanted = [
            (seen.tolist(), float(np.float32(reward)), end, cut, last.tolist())
            for seen, reward, end, cut, last in episodes_of_gymnasium(chosen[i], SEED + i)
        ]
        assert got[i][:-1] == wanted[:-1]  # what follows the last one may not have begun
        assert any(each[2] for each in wanted)
        assert any(each[3] for each in wanted) or i > 0
        ends = [0, *(k + 1 for k, each in enumerate(wanted) if each[2] or each[3])]
        assert [length for _, length in tallies[i]] == np.diff(ends).tolist()
        assert [total for total, _ in tallies[i]] == pytest.approx(
            [sum(each[1] for each in wanted[a:b]) for a, b in pairwise(ends)], rel=1e-5
        )


def test_every_step_is_that_of_gymnasiums_own_batch() -> None:
    count = 3
    envs = batch(name("JointCartPole-v1"), variant(count))
    theirs: Any = gym.make_vec("CartPole-v1", count, "vector_entry_point")
    seen, _ = theirs.reset(seed=SEED)
    assert np.array_equal(envs.observe(), seen)
    rng, ended = np.random.default_rng(1), 0
    for _ in range(300):
        actions = rng.integers(2, size=count)
        waiting = envs.waiting().astype(bool)
        observations, rewards, terminated, truncated, last, _, _ = envs.step(actions.astype(np.float32)[:, None])
        seen, reward, is_end, is_cut, _ = theirs.step(actions)
        over = is_end | is_cut
        assert np.array_equal(observations[~over], seen[~over])
        assert np.array_equal(last[over], seen[over])
        assert np.array_equal(rewards, np.where(waiting, 0.0, reward))
        assert np.array_equal(terminated, is_end)
        assert np.array_equal(truncated, is_cut)
        ended += over.sum()
    assert ended > count


def test_the_time_limit_truncates_where_the_environment_leaves_restarts_to_others() -> None:
    envs = batch(name("JointPatient-v0"), variant(2))
    flags = [bool(all_do(envs, LEFT)[3].all()) for _ in range(2 * LIMIT)]
    assert flags == ([False] * (LIMIT - 1) + [True]) * 2


def test_each_variant_is_an_object_of_its_own_with_its_parameters() -> None:
    envs = batch(name("Corridors-v0"), variant(1), variant(2, length=3.0), variant(1))
    assert envs.observe()[:, 1].tolist() == [5.0, 3.0, 3.0, 5.0]
    for _ in range(2):
        all_do(envs, RIGHT)
    _, _, terminated, _, last, _, lengths = all_do(envs, RIGHT)
    assert terminated.tolist() == [0, 1, 1, 0]
    assert lengths.tolist() == [0, 3, 3, 0]
    assert last.tolist() == [[0.0, 0.0], [3.0, 3.0], [3.0, 3.0], [0.0, 0.0]]
    assert envs.observe()[:, 0].tolist() == [3.0, 0.0, 0.0, 3.0]
    assert [each.name for each in env_spec(name("Corridors-v0")).params] == ["length", "slip"]


def test_variants_whose_number_stays_go_on_and_the_others_begin_anew() -> None:
    envs = batch(name("Corridors-v0"), variant(1), variant(2, length=3.0))
    all_do(envs, RIGHT)
    changed = envs.assign_variants([variant(1), variant(1, length=3.0), variant(1, length=4.0)])
    assert changed == [1, 2]
    assert envs.observe().tolist() == [[1.0, 5.0], [0.0, 3.0], [0.0, 4.0]]
    assert envs.assign_variants([variant(1), variant(1, length=3.0), variant(1, length=4.0)]) == []
    all_do(envs, RIGHT)
    assert all_do(envs, RIGHT)[6].tolist() == [0, 0, 0]
    assert all_do(envs, RIGHT)[6].tolist() == [0, 3, 0]


def test_equal_seeds_play_equal_episodes_and_others_do_not() -> None:
    def played(seed: int) -> list[float]:
        envs = batch(name("SameStep-v0"), variant(3, seed=seed))
        return [float(value) for _ in range(60) for value in all_do(envs, RIGHT)[0].ravel()]

    assert played(1) == played(1) != played(2)


def test_one_that_can_step_alone_does_unless_it_is_told() -> None:
    env = name("EitherWay-v0")
    register_env(env)
    assert "fails_at_step" in [each.name for each in env_spec(env).params]
    with pytest.raises(ValueError, match="this process steps it one by one already"):
        register_env(env, vectorized=True)
    with pytest.raises(ValueError, match="doesn't have a vector entry point"):
        register_env(sample_envs.name("Wide-v0"), vectorized=True)


@pytest.mark.filterwarnings("ignore:.*autoreset_mode:UserWarning", "ignore:.*AutoresetMode:UserWarning")
@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("JointTimeless-v0", "it has no time limit, and may never end: register it with max_episode_steps"),
        ("JointDictionary-v0", "observations of environments that step together must be a Box, got Dict"),
        ("JointSilent-v0", r'metadata\["autoreset_mode"\] is one of AutoresetMode.NEXT_STEP, .* got None'),
        ("JointOdd-v0", r"AutoresetMode.DISABLED, got 'Sometimes'"),
    ],
)
def test_what_nothing_can_be_trained_in_is_refused_and_closed(env: str, message: str) -> None:
    close_all()
    Misbehaving.closings = 0
    with pytest.raises(ValueError, match=message):
        register_env(name(env))
    assert Misbehaving.closings == 1


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("JointCollapsing-v0", "in a step of 3 environments: ZeroDivisionError: the floors gave way (.*sample_vector"),
        ("JointPaired-v0", r"in a step of 3 environments: ValueError: rewards must have shape (3,), got (3, 2)"),
        ("JointFlat-v0", r"in a step of .*: observations must have shape (3, 2, 2), got (3, 2)"),
        ("JointUnfinished-v0", 'in a step of .*: .* (SAME_STEP) need info["final_obs"] of each'),
        ("JointNarrow-v0", 'info["final_obs"] must have 4 numbers, got 2'),
        ("JointUnmasked-v0", 'reset(options={"reset_mask": ...}) restarted environments that are not in the mask'),
        ("JointOverlong-v0", f"an episode goes on after its {LIMIT} steps (max_episode_steps)"),
        ("JointHasty-v0", "an episode ended in the step that begins it, whose action is ignored (NEXT_STEP)"),
    ],
)
def test_what_goes_wrong_in_a_step_names_environment_and_cause(env: str, message: str) -> None:
    envs = batch(name(env), variant(3))
    with pytest.raises(EnvFailedError) as caught:
        walk(envs, LIMIT + 1)
    assert str(caught.value).startswith(f"{name(env)} failed in a step of 3 environments: ")
    assert re.search(".*".join(re.escape(part) for part in message.split(".*")), str(caught.value))


def test_what_goes_wrong_in_reset_is_told() -> None:
    with pytest.raises(EnvFailedError, match=r"JointLocked-v0 failed in reset\(seed=\d+\): RuntimeError: the doors"):
        batch(name("JointLocked-v0"), variant(2))


def test_what_a_constructor_refuses_is_told_with_the_parameters() -> None:
    with pytest.raises(EnvFailedError, match=r"cannot be made with {'length': -1.0}: ValueError: a corridor"):
        batch(name("Corridors-v0"), variant(1, length=-1.0))


def test_they_are_closed_when_the_command_ends() -> None:
    envs = batch(name("JointHazy-v0"), variant(2))
    close_all()
    Misbehaving.closings = 0
    other = batch(name("JointHazy-v0"), variant(3))
    close_all()
    assert Misbehaving.closings == 1
    assert (envs.num_envs, other.num_envs) == (2, 3)


def settings(**changed: Any) -> PpoSettings:
    wanted = {"hidden": (8,), "num_envs": 4, "rollout_steps": 16, "minibatch_size": 32, "device": "cpu", **changed}
    return PpoSettings(**wanted)


def test_steps_that_are_part_of_no_episode_are_not_counted() -> None:
    counted = {}
    for mode in MODES:
        env = name(f"{mode.value}-v0")
        register_env(env)
        stats = make_ppo_agent(env, settings(normalize_observations=True)).train(4 * 16 * 20, 60.0)
        counted[mode] = stats.env_steps
        assert stats.episodes > 20
    assert counted[AutoresetMode.NEXT_STEP] % 64 > 0
    assert counted[AutoresetMode.SAME_STEP] == counted[AutoresetMode.DISABLED] == 4 * 16 * 20


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_a_corridor_is_learned_and_evaluated_in_every_mode(mode: AutoresetMode) -> None:
    env = name(f"Backward{mode.value}-v0")
    register_env(env)
    agent = make_ppo_agent(env, settings())
    assert agent.evaluate(5, 3) < 0.0
    agent.train(10_000, 60.0)
    assert agent.evaluate(5, 3) == pytest.approx(0.96)


def test_a_saved_learner_goes_on_with_new_episodes() -> None:
    env = name("NextStep-v0")
    register_env(env)
    first = make_ppo_agent(env, settings())
    first.train(256, 60.0)
    saved = first.save()
    agents = [make_ppo_agent(env, settings()) for _ in range(2)]
    for agent in agents:
        agent.load(saved)
        agent.train(256, 60.0)
    assert np.array_equal(agents[0].get_params(), agents[1].get_params())


def test_what_is_not_finite_stops_training() -> None:
    register_env(name("JointHazy-v0"))
    agent = make_ppo_agent(name("JointHazy-v0"), settings())
    with pytest.raises(NonFiniteError, match="observation"):
        agent.train(64, 60.0)
