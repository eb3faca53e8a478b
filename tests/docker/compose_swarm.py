"""A swarm of containers under test: Compose's command line to start and stop it, the Docker SDK to look and to harm."""

import importlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.docker.event_log import Event, parse

ROOT = Path(__file__).resolve().parents[2]
TEST_IMAGE = os.environ.get("MURMUR_TEST_IMAGE", "murmuration:test")
"""MURMUR_TEST_IMAGE names one that is there already; else the tests build theirs."""

PROJECT_LABEL = "com.docker.compose.project"
POLL_S = 0.2

Container = Any  # the SDK comes without types

# Not `import docker`: linters and type checkers take that for the folder docker/ of this checkout.
docker_sdk: Any = importlib.import_module("docker")


def compose_commands() -> list[list[str]]:
    """Return the forms of Compose on this machine: v2 as a plugin, 1.29 as a program."""
    forms = [["docker", "compose"], ["docker-compose"]]
    return [form for form in forms if shutil.which(form[0]) and _answers([*form, "version"])]


def _answers(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0


def run_compose(
    arguments: Sequence[str], *, files: Sequence[str], project: str, env: Mapping[str, str], command: Sequence[str]
) -> str:
    """Run one Compose command in the checkout and return what it printed; its errors are in the exception."""
    flags = [flag for file in files for flag in ("-f", file)]
    result = subprocess.run(
        [*command, *flags, "-p", project, *arguments],
        cwd=ROOT,
        env={**os.environ, "PEER_IMAGE": TEST_IMAGE, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise AssertionError(f"compose {' '.join(arguments)} failed:\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}")
    return result.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeSwarm:
    """All containers of one Compose project. Whoever makes one calls `remove` in the end, come what may."""

    client: Any  # docker.DockerClient, which comes without types
    project: str
    command: Sequence[str]
    files: Sequence[str] = ("docker-compose.yml", "tests/docker/compose.test.yml")
    env: Mapping[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str) -> str:
        return run_compose(arguments, files=self.files, project=self.project, env=self.env, command=self.command)

    def up(self, peers: int) -> None:
        """Start exactly `peers` peers, or bring the stopped ones back."""
        self.compose("up", "-d", "--no-build", "--scale", f"peer={peers}")

    def containers(self) -> list[Container]:
        """Return all containers, running or not, in the order of their replica numbers."""
        found = self.client.containers.list(all=True, filters={"label": f"{PROJECT_LABEL}={self.project}"})
        return sorted(found, key=lambda each: int(each.labels["com.docker.compose.container-number"]))

    def events(self, container: Container) -> list[Event]:
        return parse(self.output(container))

    def output(self, container: Container) -> str:
        return str(container.logs().decode("utf-8", "replace"))

    def logs(self) -> list[list[Event]]:
        return [self.events(container) for container in self.containers()]

    def wait_until(self, reached: Callable[[], object], *, what: str, within_s: float) -> None:
        """Poll until `reached()` is true; after `within_s` fail with the last lines of every peer."""
        deadline = time.monotonic() + within_s
        while not reached():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within_s:.0f} s: {what}\n{self.tails()}")
            time.sleep(POLL_S)

    def no_restarts(self) -> bool:
        """Return True; fail at once, with the logs, if the engine had to restart a peer."""
        for container in self.containers():
            container.reload()
            assert container.attrs["RestartCount"] == 0, f"{container.name} crashed\n{self.tails(40)}"
        return True

    def tails(self, lines: int = 15) -> str:
        """Return the end of every peer's log, for the report of a failed test."""
        parts = []
        for container in self.containers():
            container.reload()
            tail = "\n".join(self.output(container).splitlines()[-lines:])
            state = container.attrs["State"]
            parts.append(f"--- {container.name}: {state['Status']}, exit code {state['ExitCode']}\n{tail}")
        return "\n".join(parts)

    def remove(self) -> None:
        """Remove containers, network and volume, by label where Compose itself fails."""
        try:
            self.compose("down", "-v", "--remove-orphans", "-t", "3")
        finally:
            label = {"label": f"{PROJECT_LABEL}={self.project}"}
            for container in self.client.containers.list(all=True, filters=label):
                container.remove(force=True, v=True)
            for network in self.client.networks.list(filters=label):
                network.remove()
            for volume in self.client.volumes.list(filters=label):
                volume.remove(force=True)


def wait_for(reached: Callable[[], object], *, what: str, within_s: float) -> None:
    """Poll until `reached()` is true. Raises: AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(POLL_S)


def now() -> datetime:
    return datetime.now(UTC)


def started_at(container: Container) -> datetime:
    """Return when the engine last started this container, to the microsecond."""
    container.reload()
    stamp = str(container.attrs["State"]["StartedAt"])  # nanoseconds, which datetime cannot hold
    return datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00")
