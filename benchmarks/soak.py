"""Keep a swarm running for hours while peers are killed, stopped, paused and replaced; show whether anything grows.

    make soak HOURS=1
    python -m benchmarks.soak --hours 1 --peers 6 --seed 1 [--duty 0.02] [--folder DIR] [--picture soak.png]

Peers are processes on loopback (no Docker). Two of them are never harmed: what they use is judged, because they live
through everything. The others are killed (kill -9), stopped, paused by SIGSTOP for up to 30 s, and come back, a quarter
of them as newcomers without identity and state. Every 10 s: RSS, file descriptors, threads, disk, CPU time and sealed
rounds. The bounds on journal and kept deltas are set low, so that they are reached within minutes.

--duty: part of the training time that a peer computes; it sleeps for the rest. Exit code 1 when a peer ended by itself,
two peers held different models of a round that a majority stood behind, the peers that are never harmed trained apart,
or something grew.
"""

import argparse
import itertools
import math
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.soaking.faults import Faults
from benchmarks.soaking.peer_process import SoakedPeer
from benchmarks.soaking.report import draw, report
from benchmarks.soaking.samples import Sample, SampleFile, read_samples
from peer.local_swarm import free_ports

_STEADY = 2
_LOOK_S = 0.5
_SAMPLE_S = 10.0
_LEAST_HOURS = 0.15

_SETTINGS = (
    "log.format=json",
    "stop.mean_return=null",
    "round.train_s=2.0",
    "round.eval_every=10",
    "compute.threads=1",
    "network.listen_host=127.0.0.1",
    "storage.max_journal_bytes=1048576",
    "storage.max_payload_bytes=2097152",
)
_TOLD = (
    "peer_joined",
    "peer_left",
    "peer_stopped",
    "tip_replaced",
    "snapshot_adopted",
    "work_dropped",
    "model_differed",
    "message_refused",
    "state_damaged",
    "storage_failed",
    "did_not_stop",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--peers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--duty", type=float, default=0.02)
    parser.add_argument("--fault-every-s", type=float, default=60.0, help="mean time between two faults")
    parser.add_argument("--folder", type=Path, help="data of the peers and samples.csv; default: a temporary one")
    parser.add_argument("--picture", type=Path, default=Path("soak.png"))
    options = parser.parse_args()
    if options.peers <= _STEADY:
        parser.error(f"--peers must be above {_STEADY}: as many are never harmed")
    if options.hours < _LEAST_HOURS:
        parser.error(f"--hours must be {_LEAST_HOURS} at least: a shorter run shows no trend")
    with tempfile.TemporaryDirectory(prefix="murmur-soak-") as temporary:
        soak = Soak(options, options.folder or Path(temporary))
        soak.run()
        samples = read_samples(soak.samples_path)
        draw(options.picture, samples, steady=soak.steady_names, faults=soak.fault_hours)
        print(
            f"{options.peers} peers for {options.hours:g} h, seed {options.seed}, duty {options.duty:g}, a fault every "
            f"{options.fault_every_s:g} s; {describe_machine()}"
        )
        text, is_flat = report(samples, steady=soak.steady_names)
        print(soak.summary())
        print(text)
    return 0 if is_flat and soak.is_sound else 1


class Soak:
    """One run. After it: `fault_hours`, when something was done to a peer, and `summary()`."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.samples_path = folder / "samples.csv"
        self.fault_hours: list[float] = []
        self._options = options
        self._samples = SampleFile(self.samples_path)
        ports = free_ports(options.peers)
        addresses = ",".join(f"/ip4/127.0.0.1/tcp/{port}" for port in ports)
        self._peers = [
            SoakedPeer(
                f"{'steady' if index < _STEADY else 'harmed'}-{index}",
                folder / f"peer-{index}",
                settings=(*_SETTINGS, f"network.port={port}", f"network.addresses=[{addresses}]"),
                duty=options.duty,
                majority=options.peers // 2 + 1,
            )
            for index, port in enumerate(ports)
        ]
        self._faults = Faults(self._peers[_STEADY:], rng=random.Random(options.seed), every_s=options.fault_every_s)
        self._sealed = [(0, 0)] * options.peers
        self._models: dict[int, str] = {}
        self._final = 0
        self._differing: list[str] = []
        self._deaths: list[str] = []

    @property
    def steady_names(self) -> list[str]:
        return [peer.name for peer in self._peers[:_STEADY]]

    @property
    def is_sound(self) -> bool:
        return not self._deaths and not self._differing

    def run(self) -> None:
        begun = time.monotonic()
        sampled = begun
        try:
            for peer in self._peers:
                peer.start()
            self._faults.begin(begun + 60.0)
            while (now := time.monotonic()) < begun + self._options.hours * 3600:
                done = self._faults.done.total()
                self._faults.act(now)
                if self._faults.done.total() > done:
                    self.fault_hours.append((now - begun) / 3600)
                self._notice_deaths()
                if now >= sampled + _SAMPLE_S:
                    self._samples.add(self._measure((now - begun) / 3600, over_s=now - sampled))
                    self._compare_models()
                    sampled = now
                time.sleep(_LOOK_S)
        finally:
            self._stop()

    def summary(self) -> str:
        events = sum((peer.events for peer in self._peers), Counter())
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(self._faults.done.items()))
        lines = [
            f"faults: {told}",
            f"rounds that became final, with one model everywhere: {self._final}; with several: {len(self._differing)}",
            f"peers that ended by themselves: {len(self._deaths)}",
            "told in the logs: "
            + ", ".join(f"{events[name]} {name}" for name in _TOLD if events[name])
            + f"; {sum(events.values())} lines in all",
        ]
        return "\n".join([*lines, *self._differing[:5], *self._deaths[:5]])

    def _measure(self, hours: float, *, over_s: float) -> list[Sample]:
        samples = []
        for index, peer in enumerate(self._peers):
            (before, admitted_before), (sealed, admitted) = self._sealed[index], (peer.sealed, peer.admitted)
            usage = peer.usage()
            if usage is not None and not peer.paused:
                samples.append(
                    Sample(
                        hours=round(hours, 5),
                        peer=peer.name,
                        life=peer.life,
                        rss_mib=round(usage.rss_mib, 2),
                        descriptors=usage.descriptors,
                        threads=usage.threads,
                        disk_mib=round(usage.disk_mib, 3),
                        cpu_s=usage.cpu_s,
                        sealed_per_min=round((sealed - before) * 60 / over_s, 2),
                        deltas_per_round=(
                            round((admitted - admitted_before) / (sealed - before), 2) if sealed > before else math.nan
                        ),
                    )
                )
            self._sealed[index] = (sealed, admitted)
        return samples

    def _compare_models(self) -> None:
        for peer in self._peers:
            for number, model in peer.take_models().items():
                known = self._models.get(number)
                if known is None:
                    self._models[number] = model
                    self._final += 1
                elif known != model:
                    self._differing.append(f"round {number}: {peer.name} has {model}, another peer {known}")
        for old in list(itertools.islice(self._models, max(len(self._models) - 10_000, 0))):
            del self._models[old]

    def _notice_deaths(self) -> None:
        for peer in self._peers:
            if (code := peer.died()) is not None:
                self._deaths.append(f"{peer.name}, life {peer.life}: exit code {code}\n" + "\n".join(peer.tail))
                peer.start()

    def _stop(self) -> None:
        for peer in self._peers:
            if peer.paused:
                peer.resume()
        for peer in self._peers:
            if peer.running:
                peer.end(signal.SIGTERM)
        self._compare_models()
        self._samples.close()


if __name__ == "__main__":
    sys.exit(main())
