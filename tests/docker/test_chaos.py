"""Eight containers that train, and what kills them. The scenarios share one swarm.

Every scenario begins and ends with a round that has everybody's delta in it, on every peer.
"""

import random
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from peer.rounds.roster import seal_order
from peer.types import Digest, PeerId
from tests.docker import event_log
from tests.docker.chaos_swarm import FILES, ChaosSwarm
from tests.docker.compose_swarm import ComposeSwarm, Container, now

pytestmark = pytest.mark.chaos
PEERS = 8
ROUND_S = 10.0
"""Survivors of a fault seal again within this time."""

SOON_S = 60.0
RNG = random.Random(20260203)


@pytest.fixture(scope="module")
def chaos(make_swarm: Callable[..., ComposeSwarm]) -> Iterator[ChaosSwarm]:
    chaos = ChaosSwarm(make_swarm(files=FILES), peers=PEERS)
    try:
        chaos.start()
        chaos.wait_healthy(within_s=180)
        yield chaos
    finally:
        chaos.remove_extras()


@pytest.fixture(autouse=True)
def from_health_to_health(chaos: ChaosSwarm) -> Iterator[None]:
    chaos.wait_healthy()
    chaos.judged_since = now()
    yield
    chaos.remove_extras()
    for container in chaos.containers():
        container.reload()
        if container.attrs["State"]["Status"] == "paused":
            container.unpause()
        elif container.attrs["State"]["Status"] != "running":
            container.start()
    chaos.wait_healthy()
    chaos.assert_one_model()


def ids_of(containers: list[Container], chaos: ChaosSwarm) -> dict[str, Container]:
    return {event_log.peer_id(chaos.swarm.events(container)): container for container in containers}


def test_three_of_eight_killed_the_others_lose_at_most_one_round_and_three_newcomers_are_admitted(
    chaos: ChaosSwarm,
) -> None:
    containers = chaos.containers()
    dead, alive = containers[:3], containers[3:]
    killed = now()
    for container in dead:
        container.kill(signal="SIGKILL")
    chaos.wait_sealed(alive, since=now(), within_s=ROUND_S)
    newcomers = [chaos.add("--duty=0.03") for _ in dead]
    chaos.wait_sealed([*alive, *newcomers], since=now(), admitted=PEERS, within_s=SOON_S)
    assert all(len(chaos.sealed(container, killed)) >= 2 for container in alive)


def test_sealer_killed_in_every_round_for_twenty_rounds_the_swarm_goes_on(chaos: ChaosSwarm) -> None:
    """The sealer: whoever comes first, of those that run, in the order after the newest round that somebody saw."""
    by_id = ids_of(chaos.containers(), chaos)
    kills = 0
    for _ in range(20):
        running = {peer: each for peer, each in by_id.items() if _state(each) == "running"}
        witness = RNG.choice(sorted(running))
        newest = chaos.sealed(running[witness], now() - timedelta(seconds=30))[-1]
        first = seal_order(Digest(bytes.fromhex(newest["manifest"])), (PeerId(peer) for peer in running))[0]
        struck = now()
        by_id[first].kill(signal="SIGKILL")
        kills += 1
        survivors = [each for peer, each in running.items() if peer != first]
        chaos.wait_sealed(survivors[:2], since=struck, within_s=ROUND_S)
        by_id[first].start()
    assert kills == 20


def test_all_restarted_at_once_go_on_from_what_they_had(chaos: ChaosSwarm) -> None:
    reached = max(chaos.sealed(each, now() - timedelta(seconds=30))[-1]["round"] for each in chaos.containers())
    struck = now()
    for container in chaos.containers():
        container.kill(signal="SIGKILL")
    for container in chaos.containers():
        container.start()
    chaos.wait_sealed(chaos.containers(), since=struck, admitted=PEERS, within_s=120)
    assert max(each["round"] for each in chaos.sealed(chaos.containers()[0], struck)) > reached - 6, (
        "snapshots are every 5"
    )


def _state(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["Status"])
