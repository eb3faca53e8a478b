"""A swarm under chaos: what the scenarios ask of it and do to it, on top of `ComposeSwarm`."""

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.docker import event_log
from tests.docker.compose_swarm import ROOT, TEST_IMAGE, ComposeSwarm, Container, now
from tests.docker.event_log import Event

FILES = ("docker-compose.yml", "tests/docker/compose.chaos.yml")
EXTRA_LABEL = "murmuration.chaos"
_LOOK_S = 0.5
_ALTERED = ("tini", "--", "python3", "-m", "tests.altered_peer")


class ChaosSwarm:
    """peers: replicas in health. Extra containers are made by `add`; `remove` ends everything.

    swarm_secret: of the swarm key that all have, 64 hex digits; an open swarm when empty.
    """

    def __init__(self, swarm: ComposeSwarm, *, peers: int, swarm_secret: str = "") -> None:
        self.swarm = swarm
        self.peers = peers
        self._swarm_secret = swarm_secret
        self.judged_since = now()
        """Models are compared from here on: when a swarm was parted, rounds of the losing side are replaced."""

    # What is there

    def containers(self) -> list[Container]:
        return self.swarm.containers()

    def recent(self, container: Container, moment: datetime) -> list[Event]:
        """Return the events since `moment`, without reading the log before it again."""
        text = container.logs(since=int(moment.timestamp())).decode("utf-8", "replace")
        return event_log.since(event_log.parse(text), moment)

    def sealed(self, container: Container, moment: datetime) -> list[Event]:
        return event_log.named(self.recent(container, moment), "round_sealed")

    def status(self) -> dict[str, Mapping[str, Any]]:
        """Ask every peer of the shared volume by its status socket; returns the answers by peer id."""
        found = self._in_any("murmur", "status", "--data-dir", "/data", "--json")
        return {each["peer_id"]: each for each in json.loads(found) if each["running"]}

    def contributions(self) -> dict[str, int]:
        """Return the env steps of each peer in the chain, as `murmur log --stat` tells them."""
        told = json.loads(self._in_any("murmur", "log", "--data-dir", "/data", "--stat", "--json"))
        return {each["peer"]: int(each["env_steps"]) for each in told["peers"]}

    def _in_any(self, *command: str) -> str:
        for container in self.containers():
            container.reload()
            if container.attrs["State"]["Status"] == "running":
                code, output = container.exec_run(list(command), demux=True)
                assert code == 0, f"{' '.join(command)}: exit code {code}\n{output}"
                return str(output[0].decode())
        raise AssertionError("no container runs")

    # What is waited for

    def wait_until(self, reached: Callable[[], object], *, what: str, within_s: float) -> float:
        """Return the seconds that it took; fail with the ends of all logs after `within_s`."""
        begun = time.monotonic()
        while not reached():
            if time.monotonic() - begun > within_s:
                raise AssertionError(f"not within {within_s:.0f} s: {what}\n{self.swarm.tails()}")
            time.sleep(_LOOK_S)
        return time.monotonic() - begun

    def wait_sealed(
        self, containers: Iterable[Container], *, since: datetime, rounds: int = 1, admitted: int = 1, within_s: float
    ) -> float:
        """Wait until each of `containers` has seen so many rounds sealed since, with so many deltas at least."""
        waiting = list(containers)

        def reached() -> bool:
            for container in list(waiting):
                good = [event for event in self.sealed(container, since) if event["admitted"] >= admitted]
                if len(good) < rounds:
                    return False
                waiting.remove(container)
            return True

        return self.wait_until(
            reached, what=f"{rounds} rounds with {admitted} deltas on each of the peers", within_s=within_s
        )

    def wait_healthy(self, *, within_s: float = 120.0) -> None:
        """Wait until everybody has seen a new round with everybody in it: where each scenario begins and ends."""
        containers = self.containers()
        for container in containers:
            container.reload()
            assert container.attrs["State"]["Status"] == "running", (
                f"{container.name} does not run\n{self.swarm.tails()}"
            )
        self.wait_sealed(containers, since=now(), admitted=self.peers, within_s=within_s)

    def assert_one_model(self) -> None:
        """Compare every round that became final on two peers; nobody may ever have computed another model."""
        logs = [self.recent(container, self.judged_since) for container in self.containers()]
        models: dict[int, dict[str, int]] = {}
        for events in logs:
            for number, model in event_log.final_models(events).items():
                models.setdefault(number, {}).setdefault(model, 0)
                models[number][model] += 1
        differing = {number: found for number, found in models.items() if len(found) > 1}
        assert not differing, f"rounds that are final with several models: {differing}"
        assert models, "no round became final"
        assert not [event for events in logs for event in event_log.named(events, "model_differed")]

    # What is done

    def start(self) -> None:
        self.swarm.up(self.peers)

    def add(
        self,
        *changes: str,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        settings: Sequence[str] = (),
        **options: Any,  # Any: as docker's create
    ) -> Container:
        """Start one more peer outside Compose, with a volume of its own. changes: of `tests.altered_peer`."""
        command = [
            f"--swarm-secret={self._swarm_secret}",
            *changes,
            "--",
            "peer",
            "--config",
            "/app/configs/config.yaml",
            *settings,
        ]
        return self.add_program([*_ALTERED, *command], environment=environment, files=files, **options)

    def add_program(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        **options: Any,  # Any: as above
    ) -> Container:
        """files: what lies in its data folder from the start, by path; owned by the peer's user."""
        first = self.containers()[0]
        inherited = dict(each.split("=", 1) for each in first.attrs["Config"]["Env"])
        container = self.swarm.client.containers.create(
            TEST_IMAGE,
            entrypoint=list(command[:1]),
            command=list(command[1:]),
            environment={**inherited, **(environment or {})},
            labels={EXTRA_LABEL: self.swarm.project},
            network=f"{self.swarm.project}_swarm",
            volumes={
                str(ROOT / "tests"): {"bind": "/app/tests", "mode": "ro"},
                **options.pop("volumes", {}),
            },
            **options,
        )
        if files:
            container.put_archive("/data", _archive(files))
        container.start()
        return container

    def revive(self) -> None:
        """Let every container of the swarm run, whatever a scenario has done to it."""
        for container in self.containers():
            container.reload()
            if container.attrs["State"]["Status"] == "paused":
                container.unpause()
            elif container.attrs["State"]["Status"] != "running":
                container.start()

    def remove_extras(self) -> None:
        for container in self.swarm.client.containers.list(
            all=True, filters={"label": f"{EXTRA_LABEL}={self.swarm.project}"}
        ):
            container.remove(force=True, v=True)

    def remove(self) -> None:
        try:
            self.remove_extras()
        finally:
            self.swarm.remove()


def read_file(container: Container, path: str) -> bytes:
    """Return one file of a container, running or not."""
    chunks, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        member = archive.extractfile(archive.getmembers()[0])
        assert member is not None
        return member.read()


def _archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folders = {path.rpartition("/")[0] for path in files} - {""}
        for name in sorted(folders):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o700, 10001, 10001
            archive.addfile(folder)
        for name, content in files.items():
            file = tarfile.TarInfo(name)
            file.size, file.mode, file.uid, file.gid = len(content), 0o600, 10001, 10001
            archive.addfile(file, io.BytesIO(content))
    return buffer.getvalue()
