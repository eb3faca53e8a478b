"""Real `murmur` processes on 127.0.0.1: started with a JSON log, followed event by event, and never left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]

START_S = 120.0
"""Deadline of a start: a second on an idle machine, but tests share theirs with compilers."""

ROUND_S = 60.0
"""Deadline of anything that takes a round or two of FAST settings."""

FAST = (
    "log.format=json",
    "round.train_s=0.3",
    "round.grace_s=2.0",
    "round.anti_entropy_s=0.5",
    "network.redial_max_s=1.0",
    "stop.linger_s=3.0",
    "stop.episodes=5",
)
"""Rounds of a fraction of a second, so that a test sees many."""

ENDLESS = (*FAST, "stop.mean_return=null")

Event = Mapping[str, Any]  # Any: the fields differ from event to event


class MurmurProcess:
    """One process. Its output is read in a thread as it comes, so it never stalls on a full pipe."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stdout: int = subprocess.PIPE,
        inside: Sequence[str] = (),
        program: Sequence[str] = ("peer.cli",),
    ) -> None:
        self.lines: list[str] = []
        self.events: list[Event] = []
        self._news = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            [*inside, sys.executable, "-m", *program, *arguments],
            cwd=cwd,  # outside the repository: no configs/config.yaml, so the built-in defaults hold
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def named(self, event: str) -> list[Event]:
        """Return the events of this name so far."""
        return [each for each in self.events if each["event"] == event]

    def wait_for(
        self,
        event: str,
        condition: Callable[[Event], bool] = lambda _: True,
        *,
        within_s: float = ROUND_S,
        after: int = 0,
    ) -> Event:
        """Return the first event of this name, from number `after` of the log on, for which `condition` holds."""
        deadline = time.monotonic() + within_s
        with self._news:
            while True:
                for each in self.events[after:]:
                    if each["event"] == event and condition(each):
                        return each
                left = deadline - time.monotonic()
                assert left > 0, f"no {event} within {within_s:g} s of\n{self.output}"
                assert not self._ended, f"ended ({self._process.poll()}) without {event}:\n{self.output}"
                self._news.wait(left)

    def wait_for_line(self, part: str, *, within_s: float = ROUND_S) -> None:
        """Wait for a line of output that holds `part`."""
        deadline = time.monotonic() + within_s
        with self._news:
            while not any(part in line for line in self.lines):
                left = deadline - time.monotonic()
                assert left > 0, f"no line with {part!r} within {within_s:g} s of\n{self.output}"
                assert not self._ended, f"ended ({self._process.poll()}) without {part!r}:\n{self.output}"
                self._news.wait(left)

    def wait_for_round(self, number: int, *, within_s: float = START_S) -> Event:
        """Return the first sealed round that is at least `number`."""
        return self.wait_for("round_sealed", lambda event: bool(event["round"] >= number), within_s=within_s)

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, *, within_s: float = ROUND_S) -> int:
        """Return the exit code; all output is in `lines` then."""
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within_s:g} s:\n{self.output}") from None
        self._reader.join(within_s)
        return code

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send(number)
        code = self.wait()
        if code:
            sys.stdout.write(f"exit code {code} of a peer that was asked to stop:\n{self.output}\n")  # pytest shows it
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(5.0)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                event = _parsed(line)
                if event is not None:
                    self.events.append(event)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


class Murmur:
    """Starts processes that end with the test. Every peer gets a data folder of its own, by name."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
        altered: Sequence[str] = (),
    ) -> MurmurProcess:
        """inside: a command that runs another, such as `ip netns exec NAME`. altered: as of `tests.altered_peer`."""
        program = ("tests.altered_peer", *altered, "--") if altered else ("peer.cli",)
        env = {"PYTHONPATH": str(ROOT), **(env or {})} if altered else env
        return self._stack.enter_context(
            MurmurProcess(arguments, cwd=self.folder, env=env, inside=inside, program=program)
        )

    def peer(
        self,
        name: str,
        *settings: str,
        base: Sequence[str] = ENDLESS,
        meet: Sequence[MurmurProcess] = (),
        port: int = 0,
        env: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
        altered: Sequence[str] = (),
    ) -> MurmurProcess:
        """Start `murmur peer` on a port of loopback. meet: running peers whose addresses it is given."""
        addresses = ",".join(address_of(other) for other in meet)
        return self.run(
            "peer",
            *base,
            "network.listen_host=127.0.0.1",
            f"network.port={port}",
            f"network.addresses=[{addresses}]",
            f"storage.data_dir={self.folder / name}",
            *settings,
            env=env,
            inside=inside,
            altered=altered,
        )


def address_of(process: MurmurProcess) -> str:
    return str(process.wait_for("listening", within_s=START_S)["addresses"][0])


def port_of(process: MurmurProcess) -> int:
    return int(address_of(process).rpartition("/")[2])


def identity_of(process: MurmurProcess) -> str:
    return str(process.wait_for("peer_started", within_s=START_S)["peer_id"])


def models_by_round(process: MurmurProcess) -> dict[int, str]:
    """Return the model hash of every round that this peer saw become final."""
    return {event["round"]: event["model"] for event in process.named("round_final")}


def _parsed(line: str) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None  # an error message, or a traceback
    return event if isinstance(event, dict) and "event" in event else None
