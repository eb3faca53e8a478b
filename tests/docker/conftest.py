"""An engine, the image (built once a session) and swarms that are removed whatever happens."""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.docker.chaos_swarm import FILES, ChaosSwarm
from tests.docker.compose_swarm import TEST_IMAGE, ComposeSwarm, compose_commands, docker_sdk, now, run_compose

REQUIRED = "MURMUR_REQUIRE_DOCKER"


def unavailable(reason: str) -> None:
    """Skip, or fail where the caller promised an engine: a skipped smoke test must not look like a passed one."""
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(f"{reason} (`make test-docker` takes care of it)")


@pytest.fixture(scope="session")
def compose_command() -> list[str]:
    commands = compose_commands()
    if not commands:
        unavailable("neither `docker compose` nor `docker-compose` works here")
    return commands[0]


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:  # Any: the SDK comes without types
    try:
        client = docker_sdk.from_env(timeout=60)
        client.ping()
    except docker_sdk.errors.DockerException as error:
        unavailable(f"no Docker engine answers: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: Any, compose_command: list[str]) -> Any:  # Any: as above
    """The image of this checkout, built as a user builds it; or the one that MURMUR_TEST_IMAGE names."""
    if "MURMUR_TEST_IMAGE" in os.environ:
        return engine.images.get(TEST_IMAGE)
    run_compose(
        ["build", "peer"],
        files=["docker-compose.yml"],
        project="murmuration-test-build",
        env={},
        command=compose_command,
    )
    return engine.images.get(TEST_IMAGE)


@pytest.fixture(scope="module")
def make_swarm(engine: Any, image: Any, compose_command: list[str]) -> Iterator[Callable[..., ComposeSwarm]]:
    """Make swarms with projects, volumes and run names of their own; remove them all in the end."""
    made: list[ComposeSwarm] = []

    def make(**settings: Any) -> ComposeSwarm:  # Any: passed on to ComposeSwarm
        project = f"murmuration-test-{uuid.uuid4().hex[:8]}"
        env = {"MURMUR_TEST_RUN": project, **settings.pop("env", {})}
        made.append(ComposeSwarm(client=engine, project=project, command=compose_command, env=env, **settings))
        return made[-1]

    try:
        yield make
    finally:
        for swarm in made:
            swarm.remove()


@pytest.fixture(scope="module")
def chaos_swarm(request: pytest.FixtureRequest, make_swarm: Callable[..., ComposeSwarm]) -> Iterator[ChaosSwarm]:
    """The swarm that the scenarios of a module share: of its PEERS, with its SWARM_SECRET if it has one."""
    secret = getattr(request.module, "SWARM_SECRET", "")
    swarm = make_swarm(files=FILES, env={"CHAOS_SWARM_SECRET": secret})
    chaos = ChaosSwarm(swarm, peers=request.module.PEERS, swarm_secret=secret)
    try:
        chaos.start()
        chaos.wait_healthy(within_s=180)
        yield chaos
    finally:
        chaos.remove_extras()


@pytest.fixture
def chaos(chaos_swarm: ChaosSwarm) -> Iterator[ChaosSwarm]:
    """The swarm in health; it must come back to it, with one model everywhere."""
    chaos_swarm.wait_healthy()
    chaos_swarm.judged_since = now()
    yield chaos_swarm
    chaos_swarm.remove_extras()
    chaos_swarm.revive()
    chaos_swarm.wait_healthy()
    chaos_swarm.assert_one_model()
