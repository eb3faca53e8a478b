"""What the tiny learner adds to the contract: virtual time, a known optimum, noise that averaging removes."""

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from peer.agents.numpy_agent import BEST_RETURN, NumpyAgent
from peer.types import EnvTask, ModelState

TASK = EnvTask(task_id="standard", params=(), seed_start=0, seed_end=10)


def make(local_seed: int = 1, **changes: int) -> NumpyAgent:
    agent = NumpyAgent(local_seed=local_seed, **changes)
    agent.set_tasks((TASK,))
    return agent


async def test_training_takes_virtual_time_and_as_many_steps_as_fit(autojump_clock: MockClock) -> None:
    agent = make(steps_per_s=500)
    stats = await agent.train(seconds=3.0)
    assert trio.current_time() == pytest.approx(3.0)
    assert (stats.env_steps, stats.wall_s, agent.env_steps) == (1500, 3.0, 1500)


async def test_the_same_seeds_give_the_same_bytes(autojump_clock: MockClock) -> None:
    one, same, other = make(3), make(3), make(4)
    for agent in (one, same, other):
        for _ in range(5):
            await agent.train(seconds=0.7)
    assert one.model().params.tobytes() == same.model().params.tobytes()
    assert one.model().params.tobytes() != other.model().params.tobytes()


async def test_the_return_grows_to_the_best_one(autojump_clock: MockClock) -> None:
    agent = make()
    returns = [await agent.evaluate(episodes=1, seed=1)]
    for _ in range(6):
        await agent.train(seconds=10.0)
        returns.append(await agent.evaluate(episodes=1, seed=1))
    assert returns[0] < 0.5 * BEST_RETURN
    assert returns[1] > returns[0]
    assert 0.99 * BEST_RETURN < returns[-1] <= BEST_RETURN


async def test_the_mean_of_many_is_better_than_one(autojump_clock: MockClock) -> None:
    agents = [make(number) for number in range(16)]
    alone = []
    for agent in agents:
        for _ in range(200):
            await agent.train(seconds=0.5)
        alone.append(await agent.evaluate(episodes=1, seed=1))
    mean = np.asarray(np.mean([agent.model().params for agent in agents], axis=0, dtype=np.float64), np.float32)
    agents[0].set_model(ModelState(params=mean, moments=agents[0].model().moments))
    assert await agents[0].evaluate(episodes=1, seed=1) > max(alone)
