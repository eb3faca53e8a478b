"""What the native agent adds to the core: tasks in turns, chunks that can be cancelled, files that cannot be half."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trio

from peer.agents.agent import Agent
from peer.agents.native_agent import NativeAgent, env_variants
from peer.errors import StorageError
from peer.native import PpoSettings
from peer.types import EnvTask, ModelState, Moments

SMALL = PpoSettings(hidden=(8,), num_envs=4, rollout_steps=16, minibatch_size=32)


def make(*, env: str = "CartPole-v1", settings: PpoSettings = SMALL) -> NativeAgent:
    return NativeAgent(env, settings=settings)


def task(number: int, **params: float) -> EnvTask:
    return EnvTask(
        task_id=f"task-{number}", params=tuple(params.items()), seed_start=100 * number, seed_end=100 * number + 100
    )


def test_it_is_an_agent() -> None:
    agent: Agent = make()
    assert agent.schema.num_params == agent.model().params.size
    assert agent.schema.num_moments == agent.model().moments.size == 5


def test_schema_tells_models_apart_that_must_not_be_averaged() -> None:
    digests = {
        make().schema.digest,
        make(env="Pendulum-v1").schema.digest,
        make(settings=PpoSettings(hidden=(9,))).schema.digest,
        make(settings=PpoSettings(hidden=(8,), activation="relu")).schema.digest,
        make(settings=PpoSettings(hidden=(8,), normalize_observations=True)).schema.digest,
        make(settings=PpoSettings(hidden=(8,), shared_trunk=True)).schema.digest,
    }
    assert len(digests) == 6
    same = PpoSettings(hidden=(8,), learning_rate=0.1, local_seed=99, num_envs=2, minibatch_size=8)
    assert make(settings=same).schema.digest == make().schema.digest


async def test_train_takes_about_the_time_asked_for_and_counts() -> None:
    agent = make()
    stats = await agent.train(seconds=0.3)
    assert stats.env_steps > 0
    assert stats.env_steps % 64 == 0
    assert stats.wall_s > 0
    assert math.isfinite(stats.mean_return)
    assert agent.env_steps == stats.env_steps
    assert agent.new_moments().count[0] == stats.env_steps


async def test_statistics_beyond_float32_stop_no_training() -> None:
    agent = make(settings=replace(SMALL, normalize_observations=True))
    made_up = Moments(count=np.full(5, 100.0), mean=np.full(5, 1e99), m2=np.zeros(5))
    agent.set_model(ModelState(params=agent.model().params, moments=made_up))
    assert (await agent.train(seconds=0.05)).env_steps > 0


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
async def test_train_refuses_no_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        await make().train(seconds=seconds)


async def test_cancelled_training_leaves_a_usable_agent() -> None:
    agent = make()
    with trio.move_on_after(0.2) as scope:
        await agent.train(seconds=60)
    assert scope.cancelled_caught
    assert agent.env_steps > 0
    assert np.isfinite(agent.model().params).all()
    await agent.train(seconds=0.01)


async def test_set_model_forgets_new_moments_and_model_merges_them() -> None:
    agent = make()
    await agent.train(seconds=0.01)
    merged = agent.model()
    agent.set_model(merged)
    assert agent.new_moments().count.tolist() == [0] * 5
    again = agent.model()
    assert again.params.tobytes() == merged.params.tobytes()
    assert again.moments.m2.tobytes() == merged.moments.m2.tobytes()


def test_set_model_refuses_other_shapes_and_values() -> None:
    agent = make()
    good = agent.model()
    with pytest.raises(ValueError, match="shape"):
        agent.set_model(ModelState(params=good.params[:-1], moments=good.moments))
    with pytest.raises(ValueError, match="shape"):
        agent.set_model(ModelState(params=good.params, moments=Moments.empty(4)))
    bad = Moments(count=np.ones(5), mean=np.full(5, np.nan), m2=np.ones(5))
    with pytest.raises(ValueError, match="mean"):
        agent.set_model(ModelState(params=good.params, moments=bad))


def test_tasks_split_the_envs_and_the_first_ones_get_the_odd_ones() -> None:
    tasks = (task(0), task(1, length=1.0), task(2, length=0.25))
    make(settings=PpoSettings(num_envs=8, rollout_steps=32)).set_tasks(tasks)
    variants = env_variants(tasks, 8)
    assert [variant.count for variant in variants] == [3, 3, 2]
    assert [dict(variant.params) for variant in variants] == [{}, {"length": 1.0}, {"length": 0.25}]
    seeds = [(variant.seed_start, variant.seed_end) for variant in variants]
    assert seeds == [(task.seed_start, task.seed_end) for task in tasks]


def test_no_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one task"):
        make().set_tasks(())


async def test_a_bad_task_is_refused_even_when_its_turn_comes_late() -> None:
    agent = make()
    with pytest.raises(ValueError, match="length"):
        agent.set_tasks((*(task(i) for i in range(9)), task(9, lenght=1.0)))
    with pytest.raises(ValueError, match="length"):
        agent.set_tasks((task(0, length=1e9),))
    await agent.train(seconds=0.01)


async def test_more_tasks_than_envs_take_turns() -> None:
    agent = make()
    agent.set_tasks(tuple(task(i, length=0.1 * (i + 1)) for i in range(9)))
    seen: list[set[str]] = []
    for _ in range(9):
        stats = await agent.train(seconds=0.05)
        seen.append({entry.task_id for entry in stats.tasks})
    assert all(len(each) <= SMALL.num_envs for each in seen)
    assert seen[0] == {f"task-{i}" for i in range(SMALL.num_envs)}
    assert set().union(*seen) == {f"task-{i}" for i in range(9)}


async def test_train_tells_the_return_of_each_task() -> None:
    agent = make()
    assert (await agent.train(seconds=0.05)).tasks == ()
    agent.set_tasks((task(0), task(1, force_mag=30.0)))
    stats = await agent.train(seconds=0.3)
    assert [entry.task_id for entry in stats.tasks] == ["task-0", "task-1"]
    assert sum(entry.episodes for entry in stats.tasks) == stats.episodes
    total = sum(entry.episodes * entry.mean_return for entry in stats.tasks)
    assert total / stats.episodes == pytest.approx(stats.mean_return)


async def test_tasks_in_turns_are_told_by_name_when_it_was_theirs() -> None:
    agent = make()
    agent.set_tasks(tuple(task(i) for i in range(6)))  # four envs: 0 to 3 first, then 4, 5, 0, 1
    first = {entry.task_id for entry in (await agent.train(seconds=0.2)).tasks}
    second = {entry.task_id for entry in (await agent.train(seconds=0.2)).tasks}
    assert first | second <= {f"task-{i}" for i in range(6)}
    assert first != second


async def test_evaluation_ignores_tasks_and_repeats() -> None:
    agent = make()
    before = await agent.evaluate(episodes=5, seed=3)
    agent.set_tasks((task(0, length=5.0, force_mag=1.0),))
    assert await agent.evaluate(episodes=5, seed=3) == before


async def test_a_training_state_restores_everything_local(tmp_path: Path) -> None:
    first = make()
    await first.train(seconds=0.05)
    path = tmp_path / "training.state"
    path.write_bytes(first.training_state())
    second = make()
    second.load(path)
    assert second.env_steps == first.env_steps
    assert second.model().params.tobytes() == first.model().params.tobytes()
    assert second.new_moments().m2.tobytes() == first.new_moments().m2.tobytes()


def test_load_names_the_file_and_keeps_the_agent(tmp_path: Path) -> None:
    agent = make()
    before = agent.model().params
    path = tmp_path / "training.state"
    with pytest.raises(StorageError, match=r"training\.state"):
        agent.load(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(StorageError, match="remove the file"):
        agent.load(path)
    path.write_bytes(make(env="Pendulum-v1").training_state())
    with pytest.raises(StorageError, match="another model"):
        agent.load(path)
    assert agent.model().params.tobytes() == before.tobytes()
