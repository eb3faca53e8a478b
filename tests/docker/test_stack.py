"""docker/stack.yml on a Docker Swarm of this one machine: the replicas find each other and train together."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.docker import event_log
from tests.docker.compose_swarm import ROOT, TEST_IMAGE, Container, wait_for
from tests.docker.conftest import unavailable

pytestmark = pytest.mark.docker
REPLICAS = 2
FILES = ("-c", "docker/stack.yml", "-c", "tests/docker/stack.test.yml")


def docker(*arguments: str, check: bool = True) -> str:
    env = {**os.environ, "PEER_IMAGE": TEST_IMAGE}
    result = subprocess.run(
        ["docker", *arguments], cwd=ROOT, env=env, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0 or not check, f"docker {' '.join(arguments)}: {result.stderr}"
    return result.stdout


@pytest.fixture
def manager(engine: Any) -> Iterator[Any]:  # Any: the SDK comes without types
    """An engine that manages a swarm; it leaves the swarm in the end if it was in none before."""
    if engine.containers.list():
        # Leaving a swarm made Docker 20.10 take other containers off their networks.
        unavailable("containers run on this engine, and a Docker Swarm that comes and goes would harm them")
    state = engine.info()["Swarm"]["LocalNodeState"]
    if state == "active":
        if not engine.info()["Swarm"]["ControlAvailable"]:
            unavailable("this engine is a worker of a Docker Swarm: only managers deploy")
        yield engine
        return
    docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")
    try:
        yield engine
    finally:
        docker("swarm", "leave", "--force")


@pytest.fixture
def stack(manager: Any, image: Any) -> Iterator[str]:  # Any: as above
    name = f"murmuration-test-{uuid.uuid4().hex[:8]}"
    try:
        docker("stack", "deploy", *FILES, "--resolve-image", "never", name)
        yield name
    finally:
        docker("stack", "rm", name, check=False)
        wait_for(lambda: not _containers(manager, name), what="the stack's containers are gone", within_s=60)
        for slot in range(1, 4):
            docker("volume", "rm", "-f", f"murmuration-{slot}", check=False)


def test_stack_trains_as_one_swarm(manager: Any, stack: str) -> None:
    def full_on_all() -> bool:
        running = [each for each in _containers(manager, stack) if each.status == "running"]
        logs = [event_log.parse(each.logs().decode("utf-8", "replace")) for each in running]
        return len(logs) == REPLICAS and all(
            any(event["admitted"] == REPLICAS for event in event_log.named(events, "round_sealed")) for events in logs
        )

    wait_for(full_on_all, what=f"a round with the deltas of all {REPLICAS} replicas", within_s=120)
    volumes = {
        mount["Name"]
        for each in _containers(manager, stack)
        for mount in each.attrs["Mounts"]
        if mount["Type"] == "volume"
    }
    assert {f"murmuration-{slot}" for slot in range(1, REPLICAS + 1)} <= volumes


def _containers(engine: Any, stack: str) -> list[Container]:
    found: list[Container] = engine.containers.list(
        all=True, ignore_removed=True, filters={"label": f"com.docker.stack.namespace={stack}"}
    )
    return found
