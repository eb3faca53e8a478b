"""Who trains on what: every task has one owner that all peers agree on, and moves when that owner dies."""

import pytest
import trio

from peer.config.schema import EnvConfig, VariantConfig
from peer.telemetry.round_events import TaskMoved, TasksAssigned
from peer.types import PeerId
from tests.swarm.node_swarm import Node, NodeSwarm, demo_config, play

TASKS = {f"variant-{number}": VariantConfig(seeds=(number * 100, number * 100 + 100)) for number in range(12)}
ENDLESS = demo_config(stop={"mean_return": None, "max_rounds": None}).model_copy(
    update={"env": EnvConfig(variants=TASKS)}
)


def trained_on(node: Node) -> set[str]:
    assert node.agent is not None
    return {task.task_id for task in node.agent.tasks}


def check_one_owner_each(nodes: list[Node]) -> None:
    """Every task is trained on, and by one peer alone unless peers help that own none; shares are even."""
    shares = [trained_on(node) for node in nodes]
    assert set().union(*shares) == set(TASKS)
    owners = [share for node, share in zip(nodes, shares, strict=True) if not node.events(TasksAssigned)[-1].helping]
    assert sum(len(share) for share in owners) == len(TASKS)
    assert max(map(len, shares)) <= 1.25 * len(TASKS) / len(nodes) + 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_every_task_has_exactly_one_owner(size: int) -> None:
    async def scenario() -> None:
        async with NodeSwarm(size, seed=1, config=ENDLESS) as swarm:
            await swarm.start_spread()
            await swarm.until_round(3)
            await trio.sleep(1.0)
            check_one_owner_each(swarm.nodes)

    play(1, scenario)


@pytest.mark.parametrize("seed", range(4))
def test_the_tasks_of_a_dead_peer_move_to_survivors_and_little_else_moves(seed: int) -> None:
    async def scenario() -> None:
        async with NodeSwarm(4, seed=seed, config=ENDLESS) as swarm:
            await swarm.start_spread()
            await swarm.until_round(4)
            await trio.sleep(1.0)
            victim = swarm.nodes[seed % 4]
            survivors = [node for node in swarm.nodes if node is not victim]
            orphaned = trained_on(victim)
            before = {node.number: trained_on(node) for node in survivors}
            died_at = [len(node.events(TaskMoved)) for node in survivors]
            swarm.crash(victim.number)
            await swarm.until(
                lambda: all(len(node.events(TaskMoved)) > told for node, told in zip(survivors, died_at, strict=True)),
                within_s=20.0,
            )
            await trio.sleep(1.0)
            check_one_owner_each(survivors)
            told: set[tuple[str, PeerId | None, PeerId | None]] | None = None
            for node, already in zip(survivors, died_at, strict=True):
                moved = node.events(TaskMoved)[already:]
                left = [event for event in moved if event.previous_owner == victim.peer_id]
                assert {event.task for event in left} == orphaned
                assert {event.why for event in left} == {f"peer-{victim.number} left"}
                assert {event.why for event in moved if event not in left} <= {"to even the shares out"}
                assert len(moved) - len(left) <= 3
                news = {(event.task, event.previous_owner, event.new_owner) for event in moved}
                assert told in (None, news)
                told = news
                assert len(trained_on(node)) >= len(before[node.number])

    play(seed, scenario)


def test_a_joiner_takes_tasks_over_from_the_others() -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=2, config=ENDLESS) as swarm:
            swarm.start(0, 1)
            await swarm.until_round(4)
            swarm.start(2)
            joiner = swarm.nodes[2]
            await swarm.until_round(8)
            await trio.sleep(1.0)
            check_one_owner_each(swarm.nodes)
            moved = [event for event in swarm.nodes[0].events(TaskMoved) if event.new_owner == joiner.peer_id]
            assert {event.task for event in moved} == trained_on(joiner) != set()
            assert {event.why for event in moved} == {"peer-2 joined"}

    play(2, scenario)


@pytest.mark.parametrize("names", [("only",), ("one", "two")])
def test_with_more_peers_than_tasks_everybody_trains(names: tuple[str, ...]) -> None:
    async def scenario() -> None:
        config = ENDLESS.model_copy(update={"env": EnvConfig(variants={name: VariantConfig() for name in names})})
        async with NodeSwarm(4, seed=2, config=config) as swarm:
            await swarm.start_spread()
            await swarm.until_round(3)
            await trio.sleep(1.0)
            assert all(len(trained_on(node)) >= 1 for node in swarm.nodes)
            assert set().union(*(trained_on(node) for node in swarm.nodes)) == set(names)
            helpers = sum(node.events(TasksAssigned)[-1].helping for node in swarm.nodes)
            if len(names) == 1:  # nothing to share out, nothing to tell
                assert helpers == 0
                assert not any(node.events(TaskMoved) for node in swarm.nodes)
            else:
                assert helpers in (2, 3)

    play(2, scenario)
