"""Finding each other without a special node: any peer is a seed, the book outlives the seeds, and swarms merge."""

from pathlib import Path

import trio

from peer.errors import TransportError
from peer.telemetry.disk_events import SnapshotAdopted
from peer.telemetry.round_events import RoundSealed, TipReplaced
from tests.swarm.node_swarm import Node, NodeSwarm, demo_config, play

QUICK = demo_config(network={"rediscover_s": 2.0, "redial_max_s": 4.0}, stop={"mean_return": None, "max_rounds": None})


class Seeds:
    """Names the addresses given until its name stops resolving."""

    name = "dns seed"

    def __init__(self, *addresses: str) -> None:
        self.now: list[str] | None = list(addresses)

    async def addresses(self) -> list[str]:
        await trio.lowlevel.checkpoint()
        if self.now is None:
            raise TransportError("no such name")
        return self.now


def connected(node: Node) -> int:
    return len(node.transport.connected_peers()) if node.transport is not None else 0


def together(nodes: list[Node]) -> bool:
    """Return whether all of them seal rounds with all of them admitted."""
    lines = [node.events(RoundSealed) for node in nodes]
    return all(line and line[-1].admitted == len(nodes) for line in lines)


def test_peers_that_know_one_seed_meet_all_the_others_through_it() -> None:
    async def scenario() -> list[int]:
        async with NodeSwarm(5, seed=1, config=QUICK) as swarm:
            swarm.sources = {0: [], **{number: [Seeds("/memory/peer-0")] for number in range(1, 5)}}
            swarm.start()
            await trio.sleep(20.0)
            return [connected(node) for node in swarm.nodes]

    assert play(1, scenario) == [4] * 5


def test_swarm_goes_on_and_takes_back_a_peer_when_every_seed_and_their_name_are_gone(tmp_path: Path) -> None:
    async def scenario() -> tuple[bool, int]:
        seeds = Seeds("/memory/peer-0")
        async with NodeSwarm(4, seed=2, config=QUICK, folder=tmp_path) as swarm:
            swarm.sources = {0: [], 1: [seeds], 2: [seeds], 3: [seeds]}
            swarm.start()
            await trio.sleep(20.0)
            seeds.now = None
            swarm.crash(0)
            swarm.crash(3)
            await trio.sleep(5.0)
            swarm.start(3)  # knows the others by its peer book alone
            await trio.sleep(30.0)
            return together([swarm.nodes[1], swarm.nodes[2], swarm.nodes[3]]), connected(swarm.nodes[3])

    assert play(2, scenario) == (True, 2)


def test_two_swarms_of_one_run_that_meet_become_one_by_the_protocols_rule() -> None:
    async def scenario() -> tuple[bool, set[bytes], int, int]:
        async with NodeSwarm(6, seed=3, config=QUICK) as swarm:
            left, right = Seeds("/memory/peer-0"), Seeds("/memory/peer-3")
            swarm.sources = {number: [left] if number < 3 else [right] for number in range(6)}
            swarm.start()
            await trio.sleep(30.0)
            apart = [connected(node) for node in swarm.nodes]
            assert apart == [2] * 6
            earlier = [len(node.events(TipReplaced)) + len(node.events(SnapshotAdopted)) for node in swarm.nodes]
            right.now = ["/memory/peer-3", "/memory/peer-1"]  # one address is told to one side
            await trio.sleep(40.0)
            finals = [node.finals() for node in swarm.nodes]
            common = max(set.intersection(*(set(each) for each in finals)))
            models = {bytes(each[common]) for each in finals}
            replaced = sum(
                len(node.events(TipReplaced)) + len(node.events(SnapshotAdopted)) > before
                for node, before in zip(swarm.nodes, earlier, strict=True)
            )
            return together(swarm.nodes), models, min(connected(node) for node in swarm.nodes), replaced

    whole, models, peers, replaced = play(3, scenario)
    assert whole
    assert len(models) == 1
    assert peers == 5
    assert replaced == 3  # one side kept its chain, the other took it over
