"""A learner whose environments are written in Python: cancelled while it steps slow ones, or without an env step."""

import pytest
import trio

from peer.agents.native_agent import NativeAgent
from peer.native import PpoSettings
from peer.python_envs.registration import register_env
from tests.unit.python_envs import sample_vector_envs
from tests.unit.python_envs.sample_envs import LIMIT, Slow, name

SETTINGS = PpoSettings(hidden=(8,), num_envs=4, rollout_steps=64, minibatch_size=64, device="cpu")  # 25 s a rollout
SLOW = name("Slow-v0")


async def begun() -> None:
    await trio.to_thread.run_sync(Slow.begun.acquire)


@pytest.mark.parametrize("work", ["train", "evaluate"])
async def test_cancelling_waits_for_a_step_and_not_for_the_rollout(work: str) -> None:
    register_env(SLOW)
    agent = NativeAgent(SLOW, settings=SETTINGS)
    params = agent.model().params
    with trio.fail_after(15.0):
        async with trio.open_nursery() as nursery:
            if work == "train":
                nursery.start_soon(lambda: agent.train(seconds=0.5))
            else:
                nursery.start_soon(lambda: agent.evaluate(episodes=30, seed=1))
            await begun()
            nursery.cancel_scope.cancel()
    assert (agent.model().params == params).all()
    assert agent.env_steps == 0


async def test_cancelled_learner_can_be_used_again() -> None:
    """Also where what it was cancelled in was not its first iteration of the call, of which it then tells next."""
    corridor = name("Corridor-v0")
    register_env(corridor)
    agent = NativeAgent(corridor, settings=PpoSettings(hidden=(8,), num_envs=4, rollout_steps=64, minibatch_size=64))
    with trio.fail_after(30.0):
        for _ in range(3):
            with trio.move_on_after(0.1):
                await agent.train(seconds=20.0)
        before = agent.env_steps
        stats = await agent.train(seconds=0.01)
    assert stats.env_steps == agent.env_steps - before > 0


async def test_a_slice_in_which_an_episode_only_begins_has_no_env_steps_and_fails_nobody() -> None:
    env = sample_vector_envs.name("NextStep-v0")
    register_env(env)
    settings = PpoSettings(hidden=(8,), num_envs=1, rollout_steps=1, minibatch_size=1, device="cpu")
    agent = NativeAgent(env, settings=settings)
    slices = [await agent.train(seconds=1e-7) for _ in range(LIMIT + 1)]
    assert {stats.env_steps for stats in slices} == {0, 1}
