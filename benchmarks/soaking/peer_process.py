"""One peer of the soak: a process that is started, harmed and started again, and what its log and /proc say of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MIB = 2.0**20

_TAIL = 20
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the kernel charges to a process now; disk: what lies in its data folder."""

    rss_mib: float
    descriptors: int
    threads: int
    disk_mib: float
    cpu_s: float


class SoakedPeer:
    """settings: of `murmur peer`, with its port.

    majority: peers on the roster of a round from which on its final model is compared: a newcomer's first rounds are
    final for itself alone, and are replaced when it meets the others.
    """

    def __init__(self, name: str, folder: Path, *, settings: Sequence[str], duty: float, majority: int) -> None:
        self.name = name
        self.folder = folder
        self.life = 0
        self.sealed = 0
        self.admitted = 0
        self.events: Counter[str] = Counter()
        self.models: dict[int, str] = {}
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._command = [sys.executable, "-m", "tests.altered_peer", f"--duty={duty}", "--", "peer", *settings]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._majority = majority
        self._lock = threading.Lock()
        self.paused = False

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        self.life += 1
        self._process = subprocess.Popen(
            [*self._command, f"storage.data_dir={self.folder}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def end(self, number: int, *, within_s: float = 60.0) -> int:
        """Send a signal that ends the process; return its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            code = process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
            self.events["did_not_stop"] += 1
        if self._reader is not None:
            self._reader.join(5.0)
        return code

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self.paused = False

    def died(self) -> int | None:
        """Return the exit code of a process that ended by itself, None while it runs or is meant to be down."""
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        self._process = None
        return code

    def forget(self) -> None:
        """Remove identity and state: the next start is that of a newcomer."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def usage(self) -> Usage | None:
        """Return what the process uses, None when it does not run."""
        process = self._process
        if process is None or process.poll() is not None:
            return None
        proc = Path(f"/proc/{process.pid}")
        try:
            fields = (proc / "stat").read_text().rpartition(") ")[2].split()  # from field 3 of proc(5) on
            return Usage(
                rss_mib=int(fields[21]) * _PAGE / MIB,
                descriptors=len(list((proc / "fd").iterdir())),
                threads=int(fields[17]),
                disk_mib=disk_bytes(self.folder) / MIB,
                cpu_s=(int(fields[11]) + int(fields[12])) / _TICK,
            )
        except (FileNotFoundError, ProcessLookupError):
            return None

    def take_models(self) -> dict[int, str]:
        """Return the models of rounds that have become final since the last call."""
        with self._lock:
            taken, self.models = self.models, {}
        return taken

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            event: dict[str, Any] = json.loads(line)  # Any: the fields differ from event to event
            name = event["event"]
        except (ValueError, KeyError, TypeError):
            self.tail.append(line.rstrip())  # a traceback
            return
        with self._lock:
            self.events[name] += 1
            if name == "round_sealed":
                self.sealed += 1
                self.admitted += event["admitted"]
            elif name == "round_final" and event["roster"] >= self._majority:
                self.models[event["round"]] = event["model"]


def disk_bytes(folder: Path) -> int:
    """Return the size of all files below `folder`, as allocated on the disk."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{path}/{name}").st_blocks * 512  # once a file, every ten seconds
            except FileNotFoundError:
                continue
    return total
