"""Whole peers through seeded schedules of trouble: all of them end by the stop rule with the same model.

Each schedule is replayable: a failing case names its seed, and the same seed gives the same run to the last event.
"""

from collections.abc import Awaitable, Callable

import pytest
import trio

from peer.network.memory_network import LinkProfile, lognormal_latency, uniform_latency
from tests.swarm.node_swarm import CALM, LOSSY, NodeSwarm, check_finals, demo_config, play

Trouble = Callable[[NodeSwarm], Awaitable[None]]

ROUNDS = 12
SLOW_LINKS = LinkProfile(latency=uniform_latency(0.05, 0.25), gossip_loss=0.02)
DEAF = LinkProfile(latency=uniform_latency(0.005, 0.02), gossip_loss=1.0)
STUTTERING = LinkProfile(latency=lognormal_latency(0.01, 0.5), duplication=0.5)


async def no_trouble(swarm: NodeSwarm) -> None:
    await trio.lowlevel.checkpoint()


async def crash_and_return(swarm: NodeSwarm) -> None:
    """Kill one peer without a word, in any phase of a round, and start it again with nothing but its key."""
    victim = swarm.rng.randrange(len(swarm.nodes))
    await swarm.until_round(2)
    await trio.sleep(swarm.rng.uniform(0.0, 3.0))
    swarm.crash(victim)
    await trio.sleep(swarm.rng.uniform(0.1, 8.0))
    swarm.start(victim)


async def half_crash(swarm: NodeSwarm) -> None:
    """Kill half of the peers in one moment; they come back one by one."""
    await swarm.until_round(3)
    victims = swarm.rng.sample(range(len(swarm.nodes)), len(swarm.nodes) // 2)
    for victim in victims:
        swarm.crash(victim)
    for victim in victims:
        await trio.sleep(swarm.rng.uniform(0.5, 3.0))
        swarm.start(victim)


async def split_and_heal(swarm: NodeSwarm) -> None:
    """Cut the network in two for a while; both sides go on, and one model remains."""
    await swarm.until_round(3)
    peers = [node.peer_id for node in swarm.nodes]
    swarm.rng.shuffle(peers)
    swarm.network.partition(peers[: len(peers) // 2])
    await trio.sleep(swarm.rng.uniform(4.0, 12.0))
    swarm.network.heal()


SCHEDULES: dict[str, tuple[LinkProfile, Trouble]] = {
    "calm": (CALM, no_trouble),
    "lossy": (LOSSY, no_trouble),
    "slow_links": (SLOW_LINKS, no_trouble),
    "deaf_gossip": (DEAF, no_trouble),
    "stuttering": (STUTTERING, no_trouble),
    "crash_and_return": (CALM, crash_and_return),
    "lossy_crash": (LOSSY, crash_and_return),
    "half_crash": (CALM, half_crash),
    "split_and_heal": (CALM, split_and_heal),
}


async def run_to_the_end(schedule: str, size: int, seed: int) -> str:
    """Return the final model's hash after checking that all peers hold it."""
    profile, trouble = SCHEDULES[schedule]
    config = demo_config(stop={"mean_return": None, "max_rounds": ROUNDS, "linger_s": 30.0})
    async with NodeSwarm(size, seed=seed, config=config, profile=profile) as swarm:
        await swarm.start_spread()
        await trouble(swarm)
        outcomes = await swarm.until_finished()
        check_finals(swarm.nodes)
        models = {outcome.tip.model.hex() for outcome in outcomes}
        assert len(models) == 1, f"seed {seed}: the peers ended with {len(models)} models: {swarm.describe()}"
        assert {outcome.stop for outcome in outcomes} == {"rounds"}
        assert {outcome.tip.round for outcome in outcomes} == {ROUNDS}
        return models.pop()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("size", [2, 4, 7])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_all_peers_end_with_the_same_model(schedule: str, size: int, seed: int) -> None:
    play(seed, lambda: run_to_the_end(schedule, size, seed))


def test_a_lone_peer_ends_by_itself() -> None:
    assert play(1, lambda: run_to_the_end("calm", 1, 1))


@pytest.mark.parametrize("schedule", ["lossy", "crash_and_return", "split_and_heal"])
def test_the_same_seed_gives_the_same_model_twice(schedule: str) -> None:
    first = play(11, lambda: run_to_the_end(schedule, 4, 11))
    assert play(11, lambda: run_to_the_end(schedule, 4, 11)) == first
    assert play(12, lambda: run_to_the_end(schedule, 4, 12)) != first


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_the_peers_stop_when_the_return_is_reached(size: int) -> None:
    async def scenario() -> None:
        async with NodeSwarm(size, seed=size, config=demo_config(stop={"mean_return": 475.0})) as swarm:
            await swarm.start_spread()
            outcomes = await swarm.until_finished(within_s=60.0)
            assert {outcome.stop for outcome in outcomes} == {"return"}
            assert len({outcome.tip.model for outcome in outcomes}) == 1
            assert all(outcome.mean_return >= 475.0 for outcome in outcomes)
            for node in swarm.nodes:  # the model that was measured, not one that was trained on from it
                assert node.agent is not None
                node.agent.set_model(outcomes[0].tip.state)  # type: ignore[arg-type]  # the tip is always applied
                assert await node.agent.evaluate(episodes=20, seed=1) >= 475.0

    play(size, scenario)
