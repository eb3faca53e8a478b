"""The default configuration is the demo: four containers solve CartPole-v1 and stop by themselves."""

from collections.abc import Callable

import pytest

from tests.docker import event_log
from tests.docker.compose_swarm import ComposeSwarm

pytestmark = pytest.mark.docker
PEERS = 4


def test_default_config_four_peers_solve_it_and_exit_on_the_same_model(
    make_swarm: Callable[..., ComposeSwarm],
) -> None:
    # Only the log's format differs from what a user types.
    swarm = make_swarm(files=("docker-compose.yml", "tests/docker/compose.json-log.yml"))
    swarm.up(PEERS)
    swarm.wait_until(
        lambda: swarm.no_restarts() and all(each.status == "exited" for each in swarm.containers()),
        what="all peers have stopped by themselves",
        within_s=300,
    )
    for container in swarm.containers():
        assert container.attrs["State"]["ExitCode"] == 0, swarm.tails()
    summaries = [event_log.named(events, "run_finished")[-1] for events in swarm.logs()]
    assert {summary["reason"] for summary in summaries} == {"solved"}
    assert min(summary["mean_return"] for summary in summaries) >= 475
    assert len({(summary["rounds"], summary["model"]) for summary in summaries}) == 1
    event_log.agreed_rounds(swarm.logs())
