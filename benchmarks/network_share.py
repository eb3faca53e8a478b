"""Show which part of the CPU time of a training swarm its network takes.

    python benchmarks/network_share.py                     # 8 peers, about a million parameters, rounds of 2 s
    python benchmarks/network_share.py --json
    python benchmarks/network_share.py --peers 3 --seconds 60 round.codec=float32

Starts real peers on this machine and, once all of them are on the roster, looks at each for a while: every 5 ms a
thread of its own reads how much CPU time the main thread has had since, and charges it to whose code that is in: the
innermost frame of the network (peer/network, py-libp2p, Noise, pulling and serving blobs), of the protocol, of other
parts of the peer, or of the event loop where it is in none of them. Whatever runs in other threads (training, disk)
never is the network. The whole is what the kernel charged to the processes, less the looking itself.

The event loop runs for the network above all, so it is shown apart: the network's share lies between the two figures.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

_LOOK_S = 0.005
_EVENT_LOOP = "event loop"
_OWNERS = (
    (
        "network",
        ("/peer/network/", "/libp2p/", "/noise/", "/multiaddr/", "/peer/services/blobs.py", "/services/uploads.py"),
    ),
    (
        "protocol",
        ("/peer/rounds/", "/peer/wire/", "/peer/membership/", "/peer/admission/", "/peer/services/conductor.py"),
    ),
    (_EVENT_LOOP, ("/peer/process.py", "/peer/cli.py", "/peer/commands/")),  # where trio is started from
    ("rest of the peer", ("/peer/",)),
)
_TOP = 30
_SETTINGS = (
    "model.hidden=[512,512,512]",
    "round.train_s=2",
    "ppo.num_envs=4",  # so that a rollout and its updates are short against a round, on a share of a core
    "ppo.epochs=1",
    "stop.mean_return=null",
    "log.format=json",
)


class Watch(threading.Thread):
    """Charges the main thread's CPU time to owners and functions for `for_s`, and writes that to `path`."""

    def __init__(self, path: Path, *, go: Path, for_s: float) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._go = go
        self._for_s = for_s
        self._main = threading.main_thread().ident

    def run(self) -> None:
        assert self._main is not None
        clock = time.pthread_getcpuclockid(self._main)
        while not self._go.exists():
            time.sleep(0.1)
        owners: defaultdict[str, float] = defaultdict(float)
        functions: defaultdict[str, float] = defaultdict(float)
        own, process = time.thread_time(), time.process_time()
        start = last = time.clock_gettime(clock)
        end = time.monotonic() + self._for_s
        while time.monotonic() < end:
            time.sleep(_LOOK_S)
            now = time.clock_gettime(clock)
            if now > last:
                owner, function = _charge(sys._current_frames().get(self._main))
                owners[owner] += now - last
                functions[f"{owner}: {function}"] += now - last
                last = now
        own = time.thread_time() - own
        found = {
            "cpu_s": time.process_time() - process - own,
            "main_thread_s": last - start,
            "owners": dict(owners),
            "functions": dict(functions),
        }
        self._path.write_text(json.dumps(found))


def _charge(frame: FrameType | None) -> tuple[str, str]:
    """Return whose code the innermost known frame is in, and the function; the event loop if none is known."""
    while frame is not None:
        path = frame.f_code.co_filename
        for owner, fragments in _OWNERS:
            if any(fragment in path for fragment in fragments):
                return owner, f"{path.rpartition('/')[2]}:{frame.f_code.co_qualname}"
        frame = frame.f_back
    return _EVENT_LOOP, "trio"


def run_peer(path: Path, go: Path, for_s: float, arguments: list[str]) -> None:
    """Be a peer, watched."""
    from peer.network.libp2p_unused import leave_out_unused

    leave_out_unused()  # as `murmur peer` does, and before anything imports libp2p
    from peer.cli import app

    Watch(path, go=go, for_s=for_s).start()
    sys.argv[1:] = arguments
    app(prog_name="murmur")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Of all peers together. rounds: sealed in the time looked at."""

    peers: int
    seconds: float
    rounds: int
    cpu_s: float
    main_thread_s: float
    owners: dict[str, float]
    functions: dict[str, float]

    def part(self, *owners: str) -> float:
        return sum(self.owners.get(owner, 0.0) for owner in owners) / self.cpu_s


class Swarm:
    """The peers, and what their logs say of rounds."""

    def __init__(self, folder: Path, *, peers: int, seconds: float, settings: list[str]) -> None:
        from peer.local_swarm import free_ports

        self.go = folder / "go"
        self.rounds = 0
        self.full_since: float | None = None
        self._peers = peers
        ports = free_ports(peers)
        addresses = ",".join(f"/ip4/127.0.0.1/tcp/{port}" for port in ports)
        self.results = [folder / f"peer-{n}.json" for n in range(peers)]
        self._children = []
        for port, path in zip(ports, self.results, strict=True):
            own = [f"storage.data_dir={folder / 'data'}", "network.listen_host=127.0.0.1", f"network.port={port}"]
            own += [f"network.addresses=[{addresses}]", "compute.threads=1"]
            watched = ["--peer", str(path), "--go", str(self.go), "--seconds", str(seconds), "--"]
            command = [sys.executable, __file__, *watched, "peer", *_SETTINGS, *own, *settings]
            self._children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT))
        for child in self._children:
            threading.Thread(target=self._read, args=(child,), daemon=True).start()

    def stop(self) -> None:
        for child in self._children:
            child.send_signal(signal.SIGTERM)
        for child in self._children:
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()

    def _read(self, child: "subprocess.Popen[str]") -> None:
        assert child.stdout is not None
        for line in child.stdout:
            if child is self._children[0] and re.search(r'"event": "(\w*[Ss]ealed\w*)"', line):
                self._sealed(json.loads(line))

    def _sealed(self, event: dict[str, Any]) -> None:  # Any: JSON
        self.rounds += 1
        if event["admitted"] == self._peers and self.full_since is None:
            self.full_since = time.monotonic()


def measure(*, peers: int, seconds: float, settle_s: float, settings: list[str]) -> Share:
    with tempfile.TemporaryDirectory() as name:
        swarm = Swarm(Path(name), peers=peers, seconds=seconds, settings=settings)
        try:
            wait_until(lambda: swarm.full_since is not None, within_s=300.0, what="a round sealed by all")
            time.sleep(settle_s)
            before = swarm.rounds
            swarm.go.touch()
            time.sleep(seconds)
            rounds = swarm.rounds - before
            wait_until(lambda: all(path.exists() for path in swarm.results), within_s=30.0, what="all figures")
            time.sleep(0.5)
            found = [json.loads(path.read_text()) for path in swarm.results]
        finally:
            swarm.stop()
    owners: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for figures in found:
        owners.update(figures["owners"])
        functions.update(figures["functions"])
    return Share(
        peers=peers,
        seconds=seconds,
        rounds=rounds,
        cpu_s=sum(figures["cpu_s"] for figures in found),
        main_thread_s=sum(figures["main_thread_s"] for figures in found),
        owners=dict(owners),
        functions=dict(functions.most_common(_TOP)),
    )


def wait_until(condition: Any, *, within_s: float, what: str) -> None:  # Any: a callable without arguments
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} within {within_s:g} s")
        time.sleep(0.1)


def report(share: Share) -> None:
    print(f"{share.peers} peers, {share.seconds:g} s, {share.rounds} rounds sealed")
    print(f"CPU time of all peers {share.cpu_s:.1f} s, of that in their main threads {share.main_thread_s:.1f} s")
    for owner, seconds in sorted(share.owners.items(), key=lambda item: -item[1]):
        print(f"  {owner:18s} {seconds:7.2f} s  {100 * seconds / share.cpu_s:6.2f} %")
    low, high = share.part("network"), share.part("network", _EVENT_LOOP)
    print(f"network: {100 * low:.1f} % of all CPU time, {100 * high:.1f} % with all of the event loop")
    for function, seconds in share.functions.items():
        print(f"    {1e3 * seconds / max(1, share.rounds * share.peers):7.2f} ms a peer and round  {function}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--settle-s", type=float, default=10.0, help="between the first full round and looking")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--go", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("settings", nargs="*", help="of `murmur peer`, laid over those of this benchmark")
    arguments = parser.parse_args()
    if arguments.peer is not None:
        run_peer(arguments.peer, arguments.go, arguments.seconds, arguments.settings)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the peers are to end, too
    from benchmarks.machine import describe_machine

    share = measure(
        peers=arguments.peers,
        seconds=arguments.seconds,
        settle_s=arguments.settle_s,
        settings=arguments.settings,
    )
    if arguments.json:
        fields = {name: getattr(share, name) for name in share.__slots__}
        print(json.dumps({"machine": describe_machine(), "share": share.part("network"), **fields}, indent=1))
    else:
        print(describe_machine())
        report(share)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
