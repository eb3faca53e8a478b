"""One identity that runs twice, in whole swarms: named by all, served once, and nobody else's rounds suffer."""

from functools import partial
from pathlib import Path

import pytest
import trio

from peer.telemetry.peer_events import IdentityRunsTwice, OwnIdentityRunsTwice, PeerJoined, PeerLeft
from peer.telemetry.round_events import RoundSealed
from tests.swarm.node_swarm import Node, NodeSwarm, check_finals, demo_config, play

CONFIG = demo_config(stop={"mean_return": None})
OTHERS = (0, 1, 2)
OLDER, NEWER = 3, 4


async def twins_meet(seed: int, folder: Path, *, boots_ahead: int, play_s: float = 30.0) -> NodeSwarm:
    """Four peers train; then a fifth starts with the identity of the fourth, `boots_ahead` starts ahead of it."""
    async with NodeSwarm(4, seed=seed, config=CONFIG, folder=folder) as swarm:
        await swarm.start_spread()
        await swarm.until_round(4)
        copy = Node(number=NEWER, config=CONFIG, folder=folder / "copy", twin_of=OLDER, boots=boots_ahead)
        swarm.nodes.append(copy)
        swarm.start(NEWER)
        await trio.sleep(play_s)
        return swarm


def told(node: Node) -> list[OwnIdentityRunsTwice]:
    return [event for event in node.events(OwnIdentityRunsTwice) if event.source is not None]


@pytest.mark.parametrize("seed", range(4))
def test_the_newer_of_two_processes_goes_on_and_the_older_leaves(seed: int, tmp_path: Path) -> None:
    swarm = play(seed, partial(twins_meet, seed, tmp_path, boots_ahead=1))
    older, newer = swarm.nodes[OLDER], swarm.nodes[NEWER]
    for number in OTHERS:
        seen = swarm.nodes[number].events(IdentityRunsTwice)
        assert {(event.remote, event.boot, event.other_boot) for event in seen} == {(older.peer_id, 2, 1)}, seed
    assert {(event.leaves, event.other_boot) for event in told(older)} == {(True, 2)}
    assert {(event.leaves, event.other_boot) for event in told(newer)} == {(False, 1)}
    assert older.outcome is not None
    assert older.outcome.superseded_by is not None
    assert newer.last_round() > older.last_round() + 3
    check_finals(swarm.nodes)


@pytest.mark.parametrize("seed", range(4))
def test_nobody_else_loses_a_round_while_an_identity_runs_twice(seed: int, tmp_path: Path) -> None:
    swarm = play(seed, partial(twins_meet, seed, tmp_path, boots_ahead=1))
    others = {swarm.nodes[number].peer_id for number in OTHERS}
    for number in OTHERS:
        sealed = swarm.nodes[number].events(RoundSealed)
        assert [event.round for event in sealed] == list(range(sealed[0].round, sealed[-1].round + 1)), seed
    for sealed_round in swarm.journal(0)[4:]:
        assert others <= sealed_round.env_steps.keys(), f"seed {seed}: {sealed_round.number}"


def test_of_two_processes_with_one_boot_number_the_same_one_leaves_for_everybody(tmp_path: Path) -> None:
    """A folder copied while nobody ran in it: both count the same start."""
    swarm = play(1, partial(twins_meet, 1, tmp_path, boots_ahead=0))
    older, newer = swarm.nodes[OLDER], swarm.nodes[NEWER]
    gone = min((older, newer), key=lambda node: node.identity.session)
    stays = newer if gone is older else older
    assert {event.leaves for event in told(gone)} == {True}
    assert {event.leaves for event in told(stays)} == {False}
    assert gone.outcome is not None
    assert stays.outcome is None
    assert stays.last_round() > gone.last_round()


def test_a_restart_takes_the_place_of_the_old_session_and_nothing_is_said_of_two(tmp_path: Path) -> None:
    async def restart() -> NodeSwarm:
        async with NodeSwarm(4, seed=2, config=CONFIG, folder=tmp_path) as swarm:
            await swarm.start_spread()
            await swarm.until_round(4)
            swarm.crash(OLDER)
            await trio.sleep(0.1)  # before anybody has noticed
            swarm.start(OLDER)
            await swarm.until_round(8)
            return swarm

    swarm = play(2, restart)
    for number in OTHERS:
        boots = [
            event.boot for event in swarm.nodes[number].events(PeerJoined) if event.remote == swarm.nodes[3].peer_id
        ]
        assert boots == [1, 2]
        assert not swarm.nodes[number].events(IdentityRunsTwice)
        assert len([e for e in swarm.nodes[number].events(PeerLeft) if e.remote == swarm.nodes[3].peer_id]) == 1
    assert not swarm.nodes[OLDER].events(OwnIdentityRunsTwice)
