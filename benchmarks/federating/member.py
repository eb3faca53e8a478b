"""A process of a federation, which says on its stdout by a line of JSON when it has the model of another round."""

import json
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_TICK = os.sysconf("SC_CLK_TCK")
_TAIL = 20
_SESSION, _UTIME, _STIME = 3, 11, 12  # places in /proc/PID/stat after the name, see proc(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """at: when a member had the model of a round, in s of the monotonic clock."""

    at: float
    model: str


class Member:
    """One process and its children, in a session of its own. Leaving its `with` block kills them all."""

    def __init__(self, name: str, command: Sequence[str], *, folder: Path, variables: Mapping[str, str]) -> None:
        self.name = name
        self.address = ""
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._models: list[Received] = []
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def models(self) -> list[Received]:
        """Return the models of all rounds up to now."""
        return list(self._models)

    def cpu_s(self) -> float:
        """Return the CPU time of the process and of its children that still run."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(") ")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            if int(fields[_SESSION]) == self._process.pid:
                ticks += int(fields[_UTIME]) + int(fields[_STIME])
        return ticks / _TICK

    def kill(self) -> None:
        """Kill the process and its children by SIGKILL, as power loss would."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            now = time.monotonic()
            try:
                said = json.loads(line)
                is_model = "model" in said and said.get("event", "round_final") == "round_final"
            except (ValueError, TypeError, AttributeError):
                self.tail.append(line.rstrip())
                continue
            if is_model:
                self._models.append(Received(at=now, model=said["model"]))
            elif "address" in said:
                self.address = said["address"]
            elif "failed" in said:
                self.tail.append(line.rstrip())
