"""Measure a swarm of containers: how soon it seals, how soon it solves the demo, how it takes a kill, what it weighs.

    make image && .venv/bin/python benchmarks/docker_swarm.py --peers 4 --runs 3

Needs a Docker engine and the image. Every run is a project of its own, removed at the end. Times are from `up` (image
built, containers not yet made) or from the kill; hashes are compared in every round that is final on two peers.
"""

import argparse
import statistics
import sys
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe_machine
from tests.docker import event_log
from tests.docker.compose_swarm import ComposeSwarm, Container, compose_commands, docker_sdk, now
from tests.docker.event_log import Event

_DEMO = ("docker-compose.yml", "tests/docker/compose.json-log.yml")
_ENDLESS = ("docker-compose.yml", "tests/docker/compose.test.yml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--image", default="murmuration:local")
    parser.add_argument(
        "--no-demo", action="store_true", help="only the run without end: many peers solve before all met"
    )
    arguments = parser.parse_args()

    client = docker_sdk.from_env(timeout=60)
    size = client.images.get(arguments.image).attrs["Size"]
    print(f"{arguments.peers} containers, {arguments.runs} runs; image {size / 1e6:.0f} MB; {describe_machine()}")

    def each_run(files: Sequence[str], measure: Callable[[ComposeSwarm, int], dict[str, float]]) -> None:
        rows = [_run(client, arguments.image, files, arguments.peers, measure) for _ in range(arguments.runs)]
        for name in rows[0]:
            values = sorted(row[name] for row in rows)
            median = statistics.median(values)
            print(f"  {name:<58} {median:8.1f}  (min {values[0]:.1f}, max {values[-1]:.1f})", flush=True)

    if not arguments.no_demo:
        print("the demo, until it stops by itself:")
        each_run(_DEMO, _demo)
    print("training without end, one container killed and started again:")
    each_run(_ENDLESS, _kill_and_return)


def _run(
    client: object,
    image: str,
    files: Sequence[str],
    peers: int,
    measure: Callable[[ComposeSwarm, int], dict[str, float]],
) -> dict[str, float]:
    project = f"murmuration-bench-{uuid.uuid4().hex[:8]}"
    swarm = ComposeSwarm(
        client=client,
        project=project,
        command=compose_commands()[0],
        files=files,
        env={"MURMUR_TEST_RUN": project, "PEER_IMAGE": image},
    )
    try:
        return measure(swarm, peers)
    finally:
        swarm.remove()


def _demo(swarm: ComposeSwarm, peers: int) -> dict[str, float]:
    begun = now()
    swarm.up(peers)
    swarm.wait_until(
        lambda: all(event_log.named(events, "run_finished") for events in swarm.logs()),
        what="every peer has finished",
        within_s=300,
    )
    logs = swarm.logs()
    rounds = event_log.agreed_rounds(logs)  # raises if two peers differ in a final round
    sealed = min(event_log.time_of(event_log.named(events, "round_sealed")[0]) for events in logs)
    together = min(event_log.time_of(event) for events in logs for event in _full(events, peers))
    finished = max(event_log.time_of(event_log.named(events, "run_finished")[0]) for events in logs)
    startup = [event_log.named(events, "training_started")[0]["startup_s"] for events in logs]
    return {
        "s from up to the first sealed round": (sealed - begun).total_seconds(),
        "s from up to the first round with all peers in it": (together - begun).total_seconds(),
        "s from up to solved and stopped": (finished - begun).total_seconds(),
        "s from a process's start to its first training step": statistics.median(startup),
        "rounds final on all peers with one model hash": float(len(rounds)),
    }


def _kill_and_return(swarm: ComposeSwarm, peers: int) -> dict[str, float]:
    begun = now()
    swarm.up(peers)
    _wait_for_full_round(swarm, peers)
    together = min(event_log.time_of(event) for events in swarm.logs() for event in _full(events, peers))
    met = now()  # what a peer sealed alone before that was final for it alone, and has been replaced
    memory = [_memory_mib(container) for container in swarm.containers()]
    victim, *others = swarm.containers()
    identity = event_log.peer_id(swarm.events(victim))

    killed = now()
    victim.kill(signal="SIGKILL")
    swarm.wait_until(
        lambda: all(_sealed_since(swarm, other, killed) for other in others),
        what="the next round sealed by the others",
        within_s=60,
    )
    recovered = max(event_log.time_of(_sealed_since(swarm, other, killed)[0]) for other in others)

    started = now()
    victim.start()
    _wait_for_full_round(swarm, peers)
    returned = event_log.since(swarm.events(victim), started)
    assert event_log.peer_id(returned) == identity, "the restarted peer has another identity"
    trained = event_log.time_of(event_log.named(returned, "training_started")[0])
    seen = event_log.since(swarm.events(others[0]), trained)
    first = event_log.named(seen, "round_sealed")[0]["round"]
    event_log.agreed_rounds([event_log.since(events, met) for events in swarm.logs()])
    return {
        "s from up to the first round with all peers in it, no goal": (together - begun).total_seconds(),
        "MiB of one container in training (median)": statistics.median(memory),
        "s from the kill to the next round sealed by all others": (recovered - killed).total_seconds(),
        "rounds sealed from its first training step to its admission": float(
            _full(seen, peers)[0]["round"] - first + 1
        ),
    }


def _full(events: Sequence[Event], peers: int) -> list[Event]:
    return [event for event in event_log.named(events, "round_sealed") if event["admitted"] == peers]


def _sealed_since(swarm: ComposeSwarm, container: Container, moment: datetime) -> list[Event]:
    return event_log.named(event_log.since(swarm.events(container), moment), "round_sealed")


def _wait_for_full_round(swarm: ComposeSwarm, peers: int) -> None:
    """Read one log until everybody is in a round, and only then the others: reading all of them all the time would be
    a load that is measured with them."""
    start = now()
    for container in swarm.containers():
        swarm.wait_until(partial(_sealed_full, swarm, container, peers, start), what="a full round", within_s=300)


def _sealed_full(swarm: ComposeSwarm, container: Container, peers: int, start: datetime) -> bool:
    return bool(_full(event_log.since(swarm.events(container), start), peers))


def _memory_mib(container: Container) -> float:
    """Return what the kernel charges to the container, without the page cache it could drop."""
    stats = container.stats(stream=False)["memory_stats"]
    cache = stats.get("stats", {}).get("inactive_file", stats.get("stats", {}).get("total_inactive_file", 0))
    return float(stats["usage"] - cache) / 2**20


if __name__ == "__main__":
    main()
