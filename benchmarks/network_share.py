"""Show which part of the CPU time of a training swarm its network takes.

    python benchmarks/network_share.py                     # 8 peers, about a million parameters, rounds of 2 s
    python benchmarks/network_share.py --json
    python benchmarks/network_share.py --peers 3 --seconds 60 round.codec=float32

Starts real peers on this machine and, once all of them are on the roster, looks at each for a while: the CPU time of
every step of every task is charged to whose code ran: the network (peer/network, py-libp2p, Noise, pulling and serving
blobs), the protocol, or other parts of the peer. So what a call of the transport does is the network's, whoever calls,
and what is computed for an answer to another peer is not. What the main thread does between steps is the event loop.
Whatever runs in other threads (training, disk) never is the network. The whole is what the kernel charged to the
processes, less the looking itself.

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
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.task_watch import EVENT_LOOP, NETWORK, Watch, owner_of

_ROOT = Path(__file__).resolve().parent.parent
_TOP = 30
_SETTINGS = (
    "model.hidden=[512,512,512]",
    "round.train_s=2",
    "ppo.num_envs=4",  # so that a rollout and its updates are short against a round, on a share of a core
    "ppo.epochs=1",
    "stop.mean_return=null",
    "log.format=json",
)


def run_peer(path: Path, go: Path, for_s: float, arguments: list[str]) -> None:
    """Be a peer, watched."""
    from peer.network.libp2p_unused import leave_out_unused

    leave_out_unused()  # as `murmur peer` does, and before anything imports libp2p
    from peer.commands.table import app

    watch = Watch(path, go=go, for_s=for_s)
    mark_the_border(watch)
    threading.Thread(target=watch.watch, daemon=True).start()
    trio.run = partial(trio.run, instruments=[watch])
    sys.argv[1:] = arguments
    app(prog_name="murmur")


def mark_the_border(watch: Watch) -> None:
    """Have what goes into the network charged to it, and what comes out of it to whoever takes it."""
    from peer.network.libp2p_requests import RequestStreams
    from peer.network.libp2p_transport import Libp2pTransport
    from peer.network.transport import RequestHandler
    from peer.services import pulls
    from peer.services.blobs import pull_blob

    for name in ("connect", "publish", "request", "download"):
        setattr(Libp2pTransport, name, watch.charged_to(NETWORK, getattr(Libp2pTransport, name)))
    vars(pulls)["pull_blob"] = watch.charged_to(NETWORK, pull_blob)
    handle = RequestStreams.handle

    def handle_watched(self: RequestStreams, protocol: str, handler: RequestHandler, *, strangers: bool) -> None:
        function: Any = getattr(handler, "func", handler)  # of a partial
        answering = watch.charged_to(owner_of(function.__code__) or NETWORK, handler)
        handle(self, protocol, answering, strangers=strangers)

    RequestStreams.handle = handle_watched  # type: ignore[method-assign]  # a watch looks in from outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Of all peers together. rounds: sealed in the time looked at. steps: how often each function was charged.
    turns: of the event loop."""

    peers: int
    seconds: float
    rounds: int
    cpu_s: float
    main_thread_s: float
    steps: dict[str, int]
    turns: int
    task_steps: int
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
            self._children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT))
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

    def has_lost_peers(self) -> bool:
        return any(child.poll() is not None for child in self._children)

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
            wait_until(lambda: swarm.full_since is not None, within_s=300.0, what="a round sealed by all", swarm=swarm)
            time.sleep(settle_s)
            before = swarm.rounds
            swarm.go.touch()
            time.sleep(seconds)
            rounds = swarm.rounds - before
            wait_until(
                lambda: all(path.exists() for path in swarm.results), within_s=30.0, what="all figures", swarm=swarm
            )
            time.sleep(0.5)
            found = [json.loads(path.read_text()) for path in swarm.results]
        finally:
            swarm.stop()
    return in_all(found, seconds=seconds, rounds=rounds)


def in_all(found: list[dict[str, Any]], *, seconds: float, rounds: int) -> Share:  # Any: JSON, as `Watch` wrote it
    """Add up the figures of all peers."""

    def total(name: str) -> Counter[str]:
        counter: Counter[str] = Counter()
        for figures in found:
            counter.update(figures[name])
        return counter

    return Share(
        peers=len(found),
        seconds=seconds,
        rounds=rounds,
        cpu_s=sum(figures["cpu_s"] for figures in found),
        main_thread_s=sum(figures["main_thread_s"] for figures in found),
        steps=dict(total("steps")),
        turns=sum(figures["turns"] for figures in found),
        task_steps=sum(figures["task_steps"] for figures in found),
        owners=dict(total("owners")),
        functions=dict(total("functions").most_common(_TOP)),
    )


def wait_until(condition: Callable[[], bool], *, within_s: float, what: str, swarm: Swarm) -> None:
    end = time.monotonic() + within_s
    while not condition():
        if swarm.has_lost_peers():
            raise RuntimeError("a peer has ended; its words are above")
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} within {within_s:g} s")
        time.sleep(0.1)


def report(share: Share) -> None:
    print(f"{share.peers} peers, {share.seconds:g} s, {share.rounds} rounds sealed")
    each = 1.0 / (share.seconds * share.peers)
    turns, steps = share.turns * each, share.task_steps * each
    print(f"a second and peer: {turns:.0f} turns of the event loop, {steps:.0f} steps of tasks")
    print(f"CPU time of all peers {share.cpu_s:.1f} s, of that in their main threads {share.main_thread_s:.1f} s")
    for owner, seconds in sorted(share.owners.items(), key=lambda item: -item[1]):
        print(f"  {owner:18s} {seconds:7.2f} s  {100 * seconds / share.cpu_s:6.2f} %")
    low, high = share.part(NETWORK), share.part(NETWORK, EVENT_LOOP)
    print(f"network: {100 * low:.1f} % of all CPU time, {100 * high:.1f} % with all of the event loop")
    each = 1.0 / max(1, share.rounds * share.peers)
    print("a peer and round:")
    for function, seconds in share.functions.items():
        print(f"    {1e3 * seconds * each:7.2f} ms {share.steps[function] * each:7.1f} steps  {function}")


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
    from benchmarks.machine import describe_machine  # loads NumPy, which a peer is to load by itself

    share = measure(
        peers=arguments.peers,
        seconds=arguments.seconds,
        settle_s=arguments.settle_s,
        settings=arguments.settings,
    )
    if arguments.json:
        fields = {name: getattr(share, name) for name in share.__slots__}
        print(json.dumps({"machine": describe_machine(), "share": share.part(NETWORK), **fields}, indent=1))
    else:
        print(describe_machine())
        report(share)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
