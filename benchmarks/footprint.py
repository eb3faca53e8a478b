"""What one peer costs: seconds from process start to the first training step, memory at rest and in training.

    python -m benchmarks.footprint [--peers 3] [--repeats 5] [--rounds 5]

Starts the peers of a swarm at once, with the default configuration on loopback, and reads each from /proc: at rest is
when everything is loaded and training is about to begin; in training is after `rounds` sealed rounds with all peers.
Shared library pages count for every process that maps them (RSS), so a swarm on one machine needs less than the sum;
PSS divides them. Figures are the median of all peers and repeats, with the lowest and highest.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from peer.local_swarm import free_ports

_KIB_PER_MIB = 1024.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """MiB. peak_rss: the highest since the process started."""

    rss: float
    pss: float
    peak_rss: float
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCost:
    startup_s: float
    at_rest: Memory
    in_training: Memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(describe_machine())
    costs = [cost for _ in range(options.repeats) for cost in measure_swarm(peers=options.peers, rounds=options.rounds)]
    print(f"{options.peers} peers at once, {options.repeats} times: median (lowest to highest)")
    _print("start to first training step", [cost.startup_s for cost in costs], "s", digits=2)
    for title, moments in (("at rest", [c.at_rest for c in costs]), ("in training", [c.in_training for c in costs])):
        _print(f"RSS {title}", [memory.rss for memory in moments], "MiB")
        _print(f"PSS {title}", [memory.pss for memory in moments], "MiB")
    _print("highest RSS", [cost.in_training.peak_rss for cost in costs], "MiB")
    _print("threads in training", [float(cost.in_training.threads) for cost in costs], "")


def measure_swarm(*, peers: int, rounds: int) -> list[PeerCost]:
    """Start the peers of one swarm together, and return what each of them costs."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = free_ports(peers)
        running = [stack.enter_context(_peer(Path(folder), port, ports)) for port in ports]
        readers = stack.enter_context(ThreadPoolExecutor(peers))  # all are read as they go, not one after the other
        return list(readers.map(partial(_measure, peers=peers, rounds=rounds), running))


@contextmanager
def _peer(folder: Path, port: int, ports: Sequence[int]) -> Iterator["subprocess.Popen[str]"]:
    addresses = ",".join(f"/ip4/127.0.0.1/tcp/{each}" for each in ports)
    settings: tuple[str, ...] = ("log.format=json", "stop.mean_return=null", "network.listen_host=127.0.0.1")
    settings += (f"network.port={port}", f"network.addresses=[{addresses}]", f"storage.data_dir={folder}")
    process = subprocess.Popen(
        [sys.executable, "-m", "peer.cli", "peer", *settings],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _measure(process: "subprocess.Popen[str]", *, peers: int, rounds: int) -> PeerCost:
    assert process.stdout is not None
    sealed = 0
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)  # Any: the fields differ from event to event
        if event["event"] == "training_started":
            startup_s, at_rest = float(event["startup_s"]), _memory(process.pid)
        sealed += event["event"] == "round_sealed" and event["admitted"] == peers
        if sealed == rounds:
            return PeerCost(startup_s=startup_s, at_rest=at_rest, in_training=_memory(process.pid))
    raise RuntimeError(f"a peer ended with exit code {process.wait()} before it had sealed {rounds} rounds")


def _memory(pid: int) -> Memory:
    fields = dict(
        line.split(":", 1)
        for name in ("status", "smaps_rollup")
        for line in Path(f"/proc/{pid}/{name}").read_text().splitlines()
        if ":" in line
    )

    def mib(field: str) -> float:
        return int(fields[field].split()[0]) / _KIB_PER_MIB

    return Memory(rss=mib("VmRSS"), pss=mib("Pss"), peak_rss=mib("VmHWM"), threads=int(fields["Threads"]))


def _print(title: str, values: Sequence[float], unit: str, *, digits: int = 0) -> None:
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    print(f"{title:30} {middle:>6} {unit} ({low} to {high})")


if __name__ == "__main__":
    main()
