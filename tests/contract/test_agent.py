"""What every learner must do, sentence by sentence of `peer/agents/agent.py`."""

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trio

from peer.agents.agent import Agent
from peer.agents.native_agent import NativeAgent
from peer.agents.numpy_agent import NumpyAgent
from peer.errors import StorageError
from peer.moments import merge
from peer.native import PpoSettings
from peer.python_envs.registration import register_env
from peer.types import EnvTask, ModelState, Moments

Make = Callable[..., Agent]
"""local_seed: of the peer's own randomness. wide: a model of another shape."""


def native(*, local_seed: int = 1, wide: bool = False, env: str = "CartPole-v1") -> Agent:
    settings = PpoSettings(
        hidden=(16,) if wide else (8,),
        num_envs=4,
        rollout_steps=16,
        minibatch_size=32,
        local_seed=local_seed,
        normalize_observations=True,
    )
    return NativeAgent(env, settings=settings)


def native_with_python_env(*, local_seed: int = 1, wide: bool = False) -> Agent:
    env = "gymnasium:Pendulum-v1"
    register_env(env)
    return native(local_seed=local_seed, wide=wide, env=env)


def tiny(*, local_seed: int = 1, wide: bool = False) -> Agent:
    return NumpyAgent(num_params=32 if wide else 16, local_seed=local_seed)


AGENTS: dict[str, tuple[Make, str]] = {
    "native": (native, "length"),
    "native, env in Python": (native_with_python_env, "g"),
    "numpy": (tiny, "noise"),
}
"""How to make one, and a parameter of its environment."""


@pytest.fixture(params=AGENTS)
def make(request: pytest.FixtureRequest) -> Make:
    return AGENTS[request.param][0]


@pytest.fixture
def env_param(request: pytest.FixtureRequest) -> str:
    name = request.node.callspec.params["make"]
    return AGENTS[name][1]


def task(name: str = "standard", **params: float) -> EnvTask:
    return EnvTask(task_id=name, params=tuple(params.items()), seed_start=0, seed_end=1000)


def shifted(state: ModelState, by: float) -> ModelState:
    return ModelState(params=(state.params + np.float32(by)).astype(np.float32), moments=state.moments)


def same(a: Moments, b: Moments) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.count, b.count), (a.mean, b.mean), (a.m2, b.m2)))


def test_schema_tells_the_shape_of_the_model(make: Make) -> None:
    agent = make()
    model = agent.model()
    assert model.params.dtype == np.float32
    assert model.params.shape == (agent.schema.num_params,)
    assert model.moments.count.dtype == model.moments.mean.dtype == model.moments.m2.dtype == np.float64
    assert model.moments.size == agent.new_moments().size == agent.schema.num_moments
    assert len(agent.schema.digest) == 32


def test_schema_is_equal_on_all_peers_and_another_for_another_shape(make: Make) -> None:
    assert make().schema == make(local_seed=2).schema
    assert make().schema.digest != make(wide=True).schema.digest


def test_peers_of_a_run_start_with_the_same_model_and_go_their_own_ways(make: Make) -> None:
    assert np.array_equal(make(local_seed=1).model().params, make(local_seed=2).model().params)

    async def train() -> None:
        one, other = make(local_seed=1), make(local_seed=2)
        for agent in (one, other):
            agent.set_tasks((task(),))
            await agent.train(seconds=0.02)
        assert not np.array_equal(one.model().params, other.model().params)

    trio.run(train)


def test_model_is_a_copy(make: Make) -> None:
    agent = make()
    taken = agent.model()
    before = taken.params.copy()
    for array in (taken.params, taken.moments.count, taken.moments.mean, taken.moments.m2):
        array += 7
    assert np.array_equal(agent.model().params, before)
    assert not agent.model().moments.count.any()


def test_set_model_copies_what_it_is_given(make: Make) -> None:
    agent = make()
    size = agent.schema.num_moments
    state = ModelState(
        params=np.ones(agent.schema.num_params, np.float32),
        moments=Moments(count=np.full(size, 9.0), mean=np.full(size, 2.0), m2=np.full(size, 3.0)),
    )
    agent.set_model(state)
    for array in (state.params, state.moments.count, state.moments.mean, state.moments.m2):
        array[:] = 55
    model = agent.model()
    assert (model.params == 1).all()
    assert (model.moments.count == 9).all()
    assert (model.moments.mean == 2).all()
    assert (model.moments.m2 == 3).all()


@pytest.mark.parametrize("broken", ["short", "long", "moments", "nan", "infinite", "nan_mean", "infinite_m2"])
def test_set_model_refuses_what_does_not_fit_and_changes_nothing(broken: str, make: Make) -> None:
    agent = make()
    before = agent.model()
    size, num_moments = agent.schema.num_params, agent.schema.num_moments
    params = np.zeros(size + {"short": -1, "long": 1}.get(broken, 0), np.float32)
    moments = Moments.empty(num_moments + (broken == "moments"))
    if broken in ("nan", "infinite"):
        params[size // 2] = math.nan if broken == "nan" else math.inf
    moments.mean[0] = math.nan if broken == "nan_mean" else 0.0
    moments.m2[-1] = math.inf if broken == "infinite_m2" else 0.0
    with pytest.raises(ValueError, match=r"\w"):
        agent.set_model(ModelState(params=params, moments=moments))
    assert np.array_equal(agent.model().params, before.params)
    assert same(agent.model().moments, before.moments)


async def test_new_moments_are_those_since_the_last_set_model(make: Make) -> None:
    agent = make()
    agent.set_tasks((task(),))
    await agent.train(seconds=0.02)
    seen = agent.new_moments()
    assert (seen.count > 0).any()
    agent.set_model(agent.model())
    assert not agent.new_moments().count.any()
    await agent.train(seconds=0.02)
    assert (agent.new_moments().count > 0).any()


async def test_new_moments_are_a_copy(make: Make) -> None:
    agent = make()
    agent.set_tasks((task(),))
    await agent.train(seconds=0.02)
    before = agent.model().moments
    for array in (agent.new_moments().count, agent.new_moments().mean, agent.new_moments().m2):
        array += 100
    assert same(agent.model().moments, before)
    assert (agent.new_moments().count < before.count + 1).all()


async def test_the_statistics_in_use_are_the_base_merged_with_the_new_ones(make: Make) -> None:
    agent = make()
    agent.set_tasks((task(),))
    await agent.train(seconds=0.02)
    base = agent.model()
    agent.set_model(base)
    await agent.train(seconds=0.02)
    expected = merge(base.moments, agent.new_moments())
    model = agent.model().moments
    assert model.count == pytest.approx(expected.count)
    assert model.mean == pytest.approx(expected.mean, rel=1e-9, abs=1e-9)
    assert model.m2 == pytest.approx(expected.m2, rel=1e-6, abs=1e-9)


def test_set_tasks_needs_a_task(make: Make) -> None:
    with pytest.raises(ValueError, match="at least one task"):
        make().set_tasks(())


def test_set_tasks_refuses_an_unknown_parameter_and_names_the_nearest(make: Make, env_param: str) -> None:
    agent = make()
    misspelt = env_param[:-1]
    with pytest.raises(ValueError, match=env_param):
        agent.set_tasks((task("good"), task("bad", **{misspelt: 0.5})))
    agent.set_tasks((task("good", **{env_param: 0.7}),))


async def test_train_does_and_counts_steps_and_changes_the_model(make: Make) -> None:
    agent = make()
    agent.set_tasks((task(),))
    before = agent.model().params
    stats = await agent.train(seconds=0.1)
    assert stats.env_steps > 0
    assert stats.wall_s > 0
    assert stats.episodes >= 0
    assert math.isfinite(stats.mean_return) == (stats.episodes > 0)
    assert math.isfinite(stats.approx_kl)
    assert not np.array_equal(agent.model().params, before)
    assert np.isfinite(agent.model().params).all()


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
async def test_train_refuses_no_time(seconds: float, make: Make) -> None:
    with pytest.raises(ValueError, match="seconds"):
        await make().train(seconds=seconds)


async def test_train_lets_the_event_loop_turn(make: Make) -> None:
    agent = make()
    agent.set_tasks((task(),))
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await trio.sleep(0.005)
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn)
        with trio.fail_after(60.0):
            before = turns
            while turns < before + 5:  # a busy machine may leave no time for that beside the first training
                before = turns
                await agent.train(seconds=0.3)
        nursery.cancel_scope.cancel()


async def test_a_cancelled_train_leaves_an_agent_that_can_be_used(make: Make) -> None:
    agent = make()
    agent.set_tasks((task(),))
    with trio.move_on_after(0.05) as scope:
        await agent.train(seconds=30.0)
    assert scope.cancelled_caught
    assert np.isfinite(agent.model().params).all()
    agent.set_model(agent.model())
    assert (await agent.train(seconds=0.02)).env_steps > 0


async def test_evaluate_is_a_function_of_model_and_arguments_alone(make: Make) -> None:
    one, other = make(local_seed=1), make(local_seed=2)
    one.set_tasks((task(),))
    await one.train(seconds=0.05)
    model = one.model()
    other.set_model(model)
    first = await one.evaluate(episodes=5, seed=3)
    assert await other.evaluate(episodes=5, seed=3) == first
    await one.train(seconds=0.02)
    one.set_model(model)
    assert await one.evaluate(episodes=5, seed=3) == first
    assert math.isfinite(first)


async def test_evaluate_changes_nothing(make: Make) -> None:
    agent = make()
    agent.set_tasks((task(),))
    await agent.train(seconds=0.02)
    before, seen = agent.model(), agent.new_moments()
    await agent.evaluate(episodes=3, seed=1)
    assert np.array_equal(agent.model().params, before.params)
    assert same(agent.model().moments, before.moments)
    assert same(agent.new_moments(), seen)


async def test_saved_state_is_restored(make: Make, tmp_path: Path) -> None:
    agent, path = make(), tmp_path / "state"
    agent.set_tasks((task(),))
    stats = await agent.train(seconds=0.05)
    path.write_bytes(agent.training_state())
    again = make(local_seed=9)
    again.load(path)
    steps: list[int] = [one.env_steps for one in (agent, again)]  # type: ignore[attr-defined]  # both have it
    assert steps == [stats.env_steps, stats.env_steps]


def test_loading_nothing_is_an_error_that_names_the_file(make: Make, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        make().load(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "flipped", "text"])
def test_loading_a_damaged_file_is_an_error_and_changes_nothing(damage: str, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "state"
    data = make().training_state()
    middle = len(data) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": data[:-3],
            "garbage": bytes(range(256)) * 4,
            "flipped": data[:middle] + bytes([data[middle] ^ 0x41]) + data[middle + 1 :],
            "text": b"[]",
        }[damage]
    )
    agent = make()
    before = agent.model().params
    with pytest.raises(StorageError, match="state"):
        agent.load(path)
    assert np.array_equal(agent.model().params, before)


@pytest.mark.parametrize("absurd", ["of four terabytes", "nested deep"])
def test_loading_an_absurd_file_is_an_error_as_for_a_damaged_one(absurd: str, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"[" * 100_000)
    if absurd == "of four terabytes":
        os.truncate(path, 4 * 1024**4)  # holes, which take no space
    with pytest.raises(StorageError, match=re.escape(str(path))):
        make().load(path)


def test_loading_the_state_of_another_schema_is_an_error(make: Make, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(make(wide=True).training_state())
    with pytest.raises(StorageError, match="state"):
        make().load(tmp_path / "state")
