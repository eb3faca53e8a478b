"""Several peer processes on this machine: started together, logs interleaved, stopped together."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

_STOP_S = 20.0
"""Long enough to end the training chunk in progress and save; then a peer that hangs is killed, and named."""

_COLOURS = (36, 33, 32, 35, 34, 31, 96, 93)


class LocalSwarm:
    """peers: how many. base_port: of the first on 127.0.0.1, 0 for free ones. arguments: of `murmur peer`."""

    def __init__(self, *, peers: int, base_port: int, arguments: list[str], data_dir: Path) -> None:
        self._ports = [base_port + i for i in range(peers)] if base_port else free_ports(peers)
        self._arguments = arguments
        self._data_dir = data_dir
        self._print_lock = threading.Lock()
        self._children: list[subprocess.Popen[str]] = []
        self._stopping = False

    def run(self) -> int:
        """Run until every peer has ended; return 0 when all ended well, else the first other exit code."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        self._say(f"starting {len(self._ports)} peers on 127.0.0.1, data in {self._data_dir}; Ctrl-C stops all")
        addresses = ",".join(f"/ip4/127.0.0.1/tcp/{port}" for port in self._ports)
        for port in self._ports:
            self._children.append(self._start(port, addresses))
        readers = [
            threading.Thread(target=self._copy, args=(child.stdout, index), daemon=True)
            for index, child in enumerate(self._children)
        ]
        for reader in readers:
            reader.start()
        codes = self._wait()
        for reader in readers:
            reader.join(timeout=2.0)
        for index, code in enumerate(codes):
            if code != 0:
                self._say(f"peer {index + 1} of {len(codes)} ended with {describe_exit(code)}")
        return next((abs(code) for code in codes if code not in (0, -signal.SIGKILL)), 0)

    def _start(self, port: int, addresses: str) -> subprocess.Popen[str]:
        settings = [
            "network.listen_host=127.0.0.1",
            f"network.port={port}",
            f"network.addresses=[{addresses}]",
        ]
        return subprocess.Popen(
            [sys.executable, "-m", "peer.cli", "peer", *self._arguments, *settings],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches us alone; we pass it on, once
        )

    def _wait(self) -> list[int]:
        deadline: float | None = None
        while any(child.poll() is None for child in self._children):
            if self._stopping and deadline is None:
                deadline = time.monotonic() + _STOP_S
            if deadline is not None and time.monotonic() > deadline:
                self._say(f"some peers did not stop within {_STOP_S:.0f} s: killing them")
                for child in self._children:
                    child.kill()
                deadline = None
            time.sleep(0.05)
        return [child.wait() for child in self._children]

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True
        for child in self._children:
            if child.poll() is None:
                child.terminate()

    def _copy(self, stream: IO[str] | None, index: int) -> None:
        """Print a peer's lines as they come; they begin with its name already."""
        assert stream is not None
        colour = _COLOURS[index % len(_COLOURS)] if _wants_colour() else None
        for line in stream:
            name, separator, rest = line.rstrip("\n").partition("|")
            if colour is not None and separator:
                name = f"\x1b[{colour}m{name}\x1b[0m"
            self._write(f"{name}{separator}{rest}")

    def _say(self, text: str) -> None:
        self._write(f"murmur | {text}")

    def _write(self, line: str) -> None:
        with self._print_lock:
            try:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            except (BrokenPipeError, ValueError):
                self._on_signal(0, None)  # nobody reads any more: `murmur up | head` ends the swarm


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


def _wants_colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
