"""Three containers train together; one is killed, one crashes, all are stopped. The tests share one swarm, in order."""

from collections.abc import Callable

import pytest

from tests.docker import event_log
from tests.docker.compose_swarm import ComposeSwarm, Container, now, started_at
from tests.docker.event_log import Event

pytestmark = pytest.mark.docker
PEERS = 3

# Kill everything in a container but its init (1) and this program itself.
CRASH = """
import os, pathlib, signal
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit() and int(entry.name) not in (1, os.getpid()):
        os.kill(int(entry.name), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def swarm(make_swarm: Callable[..., ComposeSwarm]) -> ComposeSwarm:
    swarm = make_swarm()
    swarm.up(PEERS)
    # Here, so that peers which cannot even start fail all tests at once and not one after the other's patience.
    swarm.wait_until(
        lambda: swarm.no_restarts() and all(event_log.named(events, "round_sealed") for events in swarm.logs()),
        what="a first sealed round on every peer",
        within_s=60,
    )
    return swarm


def full_rounds(events: list[Event]) -> list[Event]:
    """Return the sealed rounds in which all peers' deltas count."""
    return [event for event in event_log.named(events, "round_sealed") if event["admitted"] == PEERS]


def wait_for_full_round(swarm: ComposeSwarm, *, within_s: float = 60) -> None:
    """Wait until every peer sealed one more round with everybody in it: where each test starts from."""
    start = now()
    swarm.wait_until(
        lambda: all(full_rounds(event_log.since(events, start)) for events in swarm.logs()),
        what=f"a round with the deltas of all {PEERS} peers, on every peer",
        within_s=within_s,
    )


def test_every_replica_has_an_identity_of_its_own(swarm: ComposeSwarm) -> None:
    assert len({event_log.peer_id(events) for events in swarm.logs()}) == PEERS


def test_five_rounds_are_final_with_the_same_model_on_all_peers(swarm: ComposeSwarm) -> None:
    wait_for_full_round(swarm)
    earlier = set(event_log.agreed_rounds(swarm.logs()))
    swarm.wait_until(
        lambda: len(set(event_log.agreed_rounds(swarm.logs())) - earlier) >= 5,
        what="five more rounds, final on every peer",
        within_s=90,
    )


def test_no_peer_ever_differed_from_the_majority(swarm: ComposeSwarm) -> None:
    assert not [event for events in swarm.logs() for event in event_log.named(events, "model_differed")]


def test_healthy_peers_pass_their_health_check(swarm: ComposeSwarm) -> None:
    def healthy(container: Container) -> bool:
        container.reload()
        return bool(container.attrs["State"]["Health"]["Status"] == "healthy")

    swarm.wait_until(
        lambda: all(healthy(container) for container in swarm.containers()),
        what="every container healthy",
        within_s=60,
    )


def test_killed_peer_others_seal_within_10_s_and_it_returns_as_itself(swarm: ComposeSwarm) -> None:
    wait_for_full_round(swarm)
    victim, *others = swarm.containers()
    identity = event_log.peer_id(swarm.events(victim))

    killed = now()
    victim.kill(signal="SIGKILL")
    swarm.wait_until(
        lambda: all(event_log.named(event_log.since(swarm.events(other), killed), "round_sealed") for other in others),
        what="the next round sealed by the others",
        within_s=10,
    )

    victim.start()  # an engine does not restart what was killed on purpose
    start = started_at(victim)
    wait_for_full_round(swarm)
    assert event_log.peer_id(swarm.events(victim)) == identity
    trained = event_log.named(event_log.since(swarm.events(victim), start), "training_started")[0]
    after = event_log.since(swarm.events(others[0]), event_log.time_of(trained))
    first_sealed = event_log.named(after, "round_sealed")[0]["round"]
    assert full_rounds(after)[0]["round"] - first_sealed <= 2, "admitted more than 2 rounds after its start"


def test_crashed_peer_is_restarted_by_the_engine_as_itself(swarm: ComposeSwarm) -> None:
    wait_for_full_round(swarm)
    victim = swarm.containers()[-1]
    identity = event_log.peer_id(swarm.events(victim))

    crashed = now()
    victim.exec_run(["python3", "-c", CRASH])
    swarm.wait_until(
        lambda: event_log.named(event_log.since(swarm.events(victim), crashed), "peer_started"),
        what="the crashed peer started again",
        within_s=30,
    )
    assert event_log.peer_id(swarm.events(victim)) == identity
    wait_for_full_round(swarm)


def test_stop_exits_zero_and_the_swarm_goes_on_from_saved_state(swarm: ComposeSwarm) -> None:
    wait_for_full_round(swarm)
    reached = event_log.agreed_rounds(swarm.logs())[-1]

    swarm.compose("stop")
    for container in swarm.containers():
        container.reload()
        assert container.attrs["State"]["ExitCode"] == 0, swarm.tails()
        assert event_log.named(swarm.events(container), "shutdown_started")

    resumed = now()
    swarm.up(PEERS)
    wait_for_full_round(swarm)
    for events in swarm.logs():
        assert event_log.named(event_log.since(events, resumed), "state_restored")[0]["round"] >= reached - 1
        assert event_log.named(event_log.since(events, resumed), "round_sealed")[0]["round"] >= reached
    assert event_log.agreed_rounds(swarm.logs())


def test_down_leaves_nothing_but_the_volume(swarm: ComposeSwarm) -> None:
    swarm.compose("down")
    assert swarm.containers() == []
    label = {"label": f"com.docker.compose.project={swarm.project}"}
    assert swarm.client.networks.list(filters=label) == []
    assert len(swarm.client.volumes.list(filters=label)) == 1
