"""A peer that contradicts itself, in whole swarms: one witness is enough, all part from it, and no fork comes of it."""

from functools import partial
from pathlib import Path

import pytest
import trio

from peer.round_parts import wire_run_id
from peer.telemetry.peer_events import PeerDenied, PeerJoined, PeerRefused
from peer.telemetry.round_events import RoundSealed
from peer.wire.envelope import seal
from peer.wire.messages import Ack, announcement
from peer.wire.sync import HEADER_PROTOCOL
from tests.swarm.node_swarm import NodeSwarm, check_finals, demo_config, play

CONFIG = demo_config(stop={"mean_return": None})
HONEST = (0, 1, 2, 3)
EVIL = 4


async def contradict(swarm: NodeSwarm, *witnesses: int) -> None:
    """Have the bad peer vote for two manifests in one round, and show both votes to these peers alone."""
    evil = swarm.nodes[EVIL]
    assert evil.transport is not None
    number = evil.last_round() + 20
    for manifest in (b"m" * 32, b"n" * 32):
        vote = seal(Ack(number, b"p" * 32, manifest, b"x" * 32, 0), evil.identity, run=wire_run_id(CONFIG))
        for witness in witnesses:
            shown = announcement(vote.data, None)
            await evil.transport.request(swarm.nodes[witness].peer_id, HEADER_PROTOCOL, shown)


async def after_a_contradiction(seed: int, folder: Path) -> NodeSwarm:
    async with NodeSwarm(5, seed=seed, config=CONFIG, folder=folder) as swarm:
        await swarm.start_spread()
        await swarm.until_round(4)
        await contradict(swarm, 0)
        await trio.sleep(40.0)
        return swarm


@pytest.mark.parametrize("seed", range(3))
def test_what_one_peer_has_seen_makes_all_part_from_the_liar(seed: int, tmp_path: Path) -> None:
    swarm = play(seed, partial(after_a_contradiction, seed, tmp_path))
    evil = swarm.nodes[EVIL]
    for number in HONEST:
        node = swarm.nodes[number]
        assert [event.remote for event in node.events(PeerDenied)] == [evil.peer_id], f"seed {seed}: peer-{number}"
        assert node.transport is not None
    last = swarm.journal(0)[-1]
    assert last.env_steps.keys() == {swarm.nodes[number].peer_id for number in HONEST}
    told = {(event.reason, "voted twice" in event.detail) for event in evil.events(PeerRefused)}
    assert ("refused_us", True) in told, "the liar's own log says why nobody takes it in"


@pytest.mark.parametrize("seed", range(3))
def test_parting_from_a_liar_costs_no_fork_and_no_round(seed: int, tmp_path: Path) -> None:
    swarm = play(seed, partial(after_a_contradiction, seed, tmp_path))
    honest = [swarm.nodes[number] for number in HONEST]
    assert check_finals(honest) > 0
    for node in honest:
        rounds = [event.round for event in node.events(RoundSealed)]
        assert rounds == sorted(set(rounds)), f"seed {seed}: peer-{node.number} undid a round"
        assert node.last_round() >= 12


def test_a_restarted_peer_still_knows_whom_it_denied(tmp_path: Path) -> None:
    async def restart() -> NodeSwarm:
        async with NodeSwarm(5, seed=1, config=CONFIG, folder=tmp_path) as swarm:
            await swarm.start_spread()
            await swarm.until_round(4)
            await contradict(swarm, 0)
            await trio.sleep(10.0)
            for number in HONEST:
                swarm.stop(number)
            await swarm.until(lambda: not any(swarm.nodes[number].is_running for number in HONEST), within_s=30.0)
            swarm.start(*HONEST)
            await trio.sleep(20.0)
            return swarm

    swarm = play(1, restart)
    evil = swarm.nodes[EVIL].peer_id
    for number in HONEST:
        node = swarm.nodes[number]
        assert evil not in {event.remote for event in node.events(PeerJoined)}
        assert {event.reason for event in node.events(PeerRefused) if event.remote == evil} == {"denied"}
