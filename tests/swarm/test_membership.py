"""Failure detection in whole swarms: connections never break by themselves here, so that only SWIM can notice."""

import pytest
import trio

from peer.config.schema import Config
from peer.network.memory_network import LinkProfile, lognormal_latency
from peer.telemetry.peer_events import PeerLeft, PeerReturned, PeerSuspected
from tests.swarm.node_swarm import CALM, Node, NodeSwarm, check_finals, demo_config, play

ENDLESS = demo_config(stop={"mean_return": None, "max_rounds": None})
SELDOM_A_ROUND = demo_config(stop={"mean_return": None, "max_rounds": None}, round={"train_s": 10.0})
"""Messages of rounds say that a peer lives, too, and cost more than pings: here those are more on their own."""

NEVER_S = 1e6


def silent_swarm(size: int, seed: int, *, profile: LinkProfile = CALM, config: Config = ENDLESS) -> NodeSwarm:
    """A swarm whose connections outlive every cut."""
    swarm = NodeSwarm(size, seed=seed, config=config, profile=profile)
    swarm.network.detection_s = NEVER_S
    return swarm


def lost_by(swarm: NodeSwarm, number: int) -> set[int]:
    numbers = {node.peer_id: node.number for node in swarm.nodes}
    return {numbers[event.remote] for event in swarm.nodes[number].events(PeerLeft)}


def told_back(node: Node, other: Node) -> bool:
    return any(told.remote == other.peer_id for told in node.events(PeerReturned))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("size", [2, 3, 8])
def test_a_peer_that_hangs_is_given_up_by_all_within_eight_seconds_and_its_return_is_told(size: int, seed: int) -> None:
    async def scenario() -> None:
        async with silent_swarm(size, seed) as swarm:
            await swarm.start_spread()
            await swarm.until_round(3)
            swarm.network.partition([swarm.nodes[0].peer_id])
            await trio.sleep(8.0)
            for other in range(1, size):
                assert lost_by(swarm, other) == {0}
                (event,) = swarm.nodes[other].events(PeerLeft)
                assert event.cause.startswith("no answer for ")
                assert [told.remote for told in swarm.nodes[other].events(PeerSuspected)] == [swarm.nodes[0].peer_id]
            swarm.network.heal()
            await swarm.until(lambda: all(told_back(node, swarm.nodes[0]) for node in swarm.nodes[1:]), within_s=60.0)

    play(seed, scenario)


@pytest.mark.parametrize("seed", range(2))
def test_each_half_of_a_parted_swarm_gives_the_other_up_in_time_and_nobody_of_its_own(seed: int) -> None:
    async def scenario() -> None:
        async with silent_swarm(8, seed) as swarm:
            await swarm.start_spread()
            await swarm.until_round(3)
            ids = [node.peer_id for node in swarm.nodes]
            swarm.network.partition(ids[:4], ids[4:])
            await trio.sleep(10.0)
            for number in range(8):
                assert lost_by(swarm, number) == (set(range(4, 8)) if number < 4 else set(range(4)))
            swarm.network.heal()
            at = max(node.last_round() for node in swarm.nodes)
            await swarm.until_round(at + 3)

    play(seed, scenario)


@pytest.mark.parametrize("seed", range(2))
def test_a_link_that_is_deaf_one_way_costs_nobody_who_can_be_reached_through_others(seed: int) -> None:
    async def scenario() -> None:
        async with silent_swarm(5, seed) as swarm:
            await swarm.start_spread()
            await swarm.until_round(3)
            swarm.network.block(swarm.nodes[0].peer_id, swarm.nodes[1].peer_id)
            at = swarm.nodes[2].last_round()
            await trio.sleep(120.0)
            for number in range(5):
                assert lost_by(swarm, number) == set()
            assert min(node.last_round() for node in swarm.nodes) > at + 30
            check_finals(swarm.nodes)

    play(seed, scenario)


@pytest.mark.parametrize("seed", range(2))
def test_a_fifth_of_everything_lost_takes_nobody_out(seed: int) -> None:
    profile = LinkProfile(latency=lognormal_latency(0.08, 0.5), gossip_loss=0.2, request_loss=0.2, loss_delay_s=1.0)

    async def scenario() -> None:
        async with silent_swarm(6, seed, profile=profile, config=SELDOM_A_ROUND) as swarm:
            await swarm.start_spread()
            await trio.sleep(300.0)
            for number in range(6):
                assert lost_by(swarm, number) == set()
            check_finals(swarm.nodes)

    play(seed, scenario)
