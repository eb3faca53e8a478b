"""Several peer processes on this machine: started together, watched together, stopped together."""

import ctypes
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from peer.config.schema import Config
from peer.early_signals import STOP_SIGNALS, heeded
from peer.errors import ConfigError
from peer.interleaved_log import InterleavedLog
from peer.storage.slots import free_slots
from peer.telemetry.plain_text import plural

STOP_S = 20.0
"""Long enough to end the training chunk in progress and save; then a peer that hangs is killed, and named."""

_LOOK_S = 0.05
_AGAIN_S = 0.5
"""Between a Ctrl-C and one that is another: `timeout` and terminals that close send two in a row."""
_CANNOT_START = 2
_OWN_KEYS = ("network.listen_host", "network.port", "network.peer_name", "network.addresses", "storage.slot")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def check_overrides(overrides: list[str]) -> None:
    """Refuse settings that every peer here has a value of its own for. Raises: ConfigError."""
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in _OWN_KEYS:
            raise ConfigError(
                f"command line {override!r}: {key}: `murmur up` gives every peer its own, on 127.0.0.1 (--base-port"
                " chooses the ports); use `murmur peer` to set it"
            )


def unused_settings(config: Config) -> list[str]:
    """Return what files and variables set of the keys that every peer here has a value of its own for."""
    return [key for key in _OWN_KEYS if _value(config, key) != _value(Config(), key)]


class LocalSwarm:
    """Peer processes on this machine, as `murmur up` runs them.

    peers: how many. base_port: of the first on 127.0.0.1, 0 for free ones. arguments: of `murmur peer`.

    Each process is given its slot. Left to take the lowest free one, a peer that has finished, and ends at once, would
    make room for the next process to be the same peer again.
    """

    def __init__(self, config: Config, *, peers: int, base_port: int, arguments: list[str]) -> None:
        self._config = config
        self._ports = [base_port + i for i in range(peers)] if base_port else free_ports(peers)
        self._arguments = arguments
        self._log = InterleavedLog(config.log.format, on_closed=self._stop)
        self._children: list[subprocess.Popen[str]] = []
        self._stopping = False
        self._stopped_at = 0.0
        self._slots: list[int] = []
        self._commands: list[list[str]] = []

    def run(self) -> int:
        """Run until every peer has ended; return 0 when all ended well, else the first other exit code.

        Raises: StorageError when the data folder cannot be used.
        """
        folder = self._config.storage.data_dir
        self._slots = free_slots(Path(folder), len(self._ports))
        for number in heeded(*STOP_SIGNALS):
            signal.signal(number, self._on_signal)
        self._log.say(f"starting {plural(len(self._ports), 'peer')} on 127.0.0.1, data in {folder}; Ctrl-C stops all")
        for setting in unused_settings(self._config):
            self._log.say(f"{setting} is not used: `murmur up` gives every peer its own, on 127.0.0.1")
        self._start_all()
        readers = [
            threading.Thread(target=self._log.copy, args=(child.stdout, self._name(index), index), daemon=True)
            for index, child in enumerate(self._children)
        ]
        for reader in readers:
            reader.start()
        codes = self._wait()
        for reader in readers:
            reader.join(timeout=2.0)
        self._log.say(self._verdict(codes))
        return next((abs(code) for code in codes if not self._ended_well(code) and code != -signal.SIGKILL), 0)

    def _start_all(self) -> None:
        from peer.settings import threads  # loads the C++ core

        addresses = ",".join(f"/ip4/127.0.0.1/tcp/{port}" for port in self._ports)
        share = threads(self._config, peers_here=len(self._ports))
        for port, slot in zip(self._ports, self._slots, strict=True):
            if self._stopping:
                return
            settings = [
                "network.listen_host=127.0.0.1",
                f"network.port={port}",
                "network.peer_name=null",
                f"network.addresses=[{addresses}]",
                f"compute.threads={share}",
                f"storage.slot={slot}",
            ]
            self._commands.append(["peer", *self._arguments, *settings])
            self._children.append(_start(self._commands[-1]))
            if self._stopping:  # the signal came while this one started, and did not reach it
                self._children[-1].terminate()

    def _wait(self) -> list[int]:
        """Wait for all, telling at once of each that ends badly; after a signal, for STOP_S at most."""
        deadline: float | None = None
        running = dict(enumerate(self._children))
        while running:
            for index in [index for index, child in running.items() if child.poll() is not None]:
                self._tell_end(index, running.pop(index).returncode)
            if self._stopping and deadline is None:
                deadline = time.monotonic() + STOP_S
            if deadline is not None and time.monotonic() > deadline:
                deadline = float("inf")
                self._log.say(f"{plural(len(running), 'peer')} did not stop within {STOP_S:.0f} s: killing")
                for child in running.values():
                    child.kill()
            time.sleep(_LOOK_S)
        return [child.returncode for child in self._children]

    def _ended_well(self, code: int) -> bool:
        """A peer that we stop in its first moments, before it listens for signals, dies of SIGTERM: nothing is lost."""
        return code == 0 or (self._stopping and code == -signal.SIGTERM)

    def _tell_end(self, index: int, code: int) -> None:
        if not self._ended_well(code):
            more = ": it could not start" if code == _CANNOT_START else ""
            if code < 0 and not self._stopping:
                more = f"; to start it again: {shlex.join(['murmur', *self._commands[index]])}"
            self._log.say(f"{self._name(index)} ended with {describe_exit(code)}{more}")

    def _name(self, index: int) -> str:
        return f"peer-{self._slots[index] + 1}"

    def _verdict(self, codes: list[int]) -> str:
        if not codes:
            return "stopped before any peer was started"
        well = sum(self._ended_well(code) for code in codes)
        if well < len(codes):
            return f"{well} of {plural(len(codes), 'peer')} ended well"
        return "the peer ended well" if well == 1 else f"all {plural(well, 'peer')} ended well"

    def _on_signal(self, number: int, _frame: object) -> None:
        """A later Ctrl-C is passed on as it is, to peers that wait for an environment which may hang."""
        if number == signal.SIGINT and self._stopping and time.monotonic() - self._stopped_at >= _AGAIN_S:
            for child in self._children:
                if child.poll() is None:
                    child.send_signal(signal.SIGINT)
        else:
            self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopped_at = time.monotonic()
        self._stopping = True
        for child in self._children:
            if child.poll() is None:
                child.terminate()


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def describe_exit(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _value(config: Config, key: str) -> object:
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


def _start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "peer.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C reaches us alone; we pass it on, once
        preexec_fn=_end_with_parent,
    )


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM when our parent dies: a swarm whose `murmur up` was killed must not train on unseen.

    Runs in the child before exec, when there is one thread only. Elsewhere than on Linux there is no such call.
    """
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return
