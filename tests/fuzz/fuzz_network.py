"""Pelt a running peer with a million malformed frames while it trains with two others; `make fuzz-network`.

    python -m tests.fuzz.fuzz_network                        # a million frames; fifty minutes
    python -m tests.fuzz.fuzz_network --frames 20000 --seed 2 --before-s 30

Three processes of `murmur peer` on loopback seal rounds of half a second; the two that are not pelted compute 5 % of
their training time, so that two cores suffice. Measured on the one that is pelted: memory, descriptors and the time
between sealed rounds before, during and after. In each minute and a half there is half a minute's rest, so that the two
are compared on the same machine at the same time, whatever else it does. What it remembers of strangers is bounded, and
full after a tenth of the frames: from then on its memory must be flat. Exit code 1 when a peer ended or printed a
traceback, a handler raised what is no refusal, memory grew or descriptors stay up, the 95th percentile of the time
between rounds is more than half above that of the rests, or the three do not seal together in the end.
"""

import argparse
import itertools
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio

from benchmarks.machine import describe_machine
from peer.config.load import load_config
from peer.round_parts import wire_run_id
from peer.services.status_socket import read_status
from tests.fuzz.barrage import Barrage
from tests.process.murmur import START_S, Murmur, MurmurProcess, identity_of, port_of

_SETTINGS = ("round.train_s=0.5", "compute.threads=1", "round.eval_every=50")
_SAMPLE_S = 1.0
_SAMPLES = 30
_SETTLE_S = 20.0
_PELTED_S = 60.0
_REST_S = 30.0
_QUIET_S = 3.0
"""After the last frame before a rest counts: what was under way has been dealt with."""

_FILLED = 0.1
"""Part of the frames after which everything that is bounded is full."""

MAX_GROWTH = 1.05
MAX_SLOWER = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """at: monotonic clock. sent: frames by then."""

    at: float
    sent: int
    rss_mib: float
    descriptors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What was measured in one stretch of time. gaps_s: between sealed rounds."""

    name: str
    rss_mib: float
    peak_mib: float
    descriptors: int
    gaps_s: tuple[float, ...]

    @property
    def p95_s(self) -> float:
        return statistics.quantiles(self.gaps_s, n=20)[-1]


class Watch:
    """Samples what a process uses, and the times of the rounds that it saw sealed."""

    def __init__(self, process: MurmurProcess, barrage: Barrage) -> None:
        self._process = process
        self._barrage = barrage
        self.samples: list[Usage] = []

    async def sample_forever(self) -> None:
        while True:
            self.samples.append(usage_of(self._process.pid, sent=self._barrage.tally.sent.total()))
            await trio.sleep(_SAMPLE_S)

    def phase(self, name: str, begun: tuple[float, datetime], *, last_s: float | None = None) -> Phase:
        """Sum up what has been since `begun`. last_s: take memory and descriptors of the last seconds alone."""
        now = time.monotonic()
        since = begun[0] if last_s is None else max(begun[0], now - last_s)
        taken = [sample for sample in self.samples if sample.at >= since]
        return Phase(
            name=name,
            rss_mib=statistics.median(sample.rss_mib for sample in taken),
            peak_mib=max(sample.rss_mib for sample in self.samples if sample.at >= begun[0]),
            descriptors=round(statistics.median(sample.descriptors for sample in taken)),
            gaps_s=gaps_of(self._process, [(begun[1], datetime.now(UTC))]),
        )


def usage_of(pid: int, *, sent: int) -> Usage:
    """Read what the kernel charges to a process now. Raises: FileNotFoundError when it has ended."""
    proc = Path(f"/proc/{pid}")
    pages = int((proc / "statm").read_text().split()[1])
    return Usage(
        at=time.monotonic(), sent=sent, rss_mib=pages * 4096 / 2**20, descriptors=len(list((proc / "fd").iterdir()))
    )


Span = tuple[datetime, datetime]


def gaps_of(process: MurmurProcess, spans: Sequence[Span]) -> tuple[float, ...]:
    """Return the seconds between the rounds that `process` saw sealed, of those that lie within one of `spans`."""
    times = [datetime.fromisoformat(event["time"]) for event in process.named("round_sealed")]
    return tuple(
        (after - before).total_seconds()
        for before, after in itertools.pairwise(times)
        if any(begin <= before and after <= end for begin, end in spans)
    )


@dataclass
class Spans:
    """When the barrage was under way, and when it rested."""

    pelted: list[Span] = field(default_factory=list)
    rests: list[Span] = field(default_factory=list)

    async def alternate(self, barrage: Barrage) -> None:
        """Let the barrage rest now and then; note when. Cancelled in the middle, it leaves that stretch out."""
        while True:
            begun = datetime.now(UTC)
            await trio.sleep(_PELTED_S)
            self.pelted.append((begun, datetime.now(UTC)))
            barrage.rest()
            await trio.sleep(_QUIET_S)
            begun = datetime.now(UTC)
            await trio.sleep(_REST_S - _QUIET_S)
            self.rests.append((begun, datetime.now(UTC)))
            barrage.go_on()


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end rather than while a process is started that nobody would end then."""
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if told:
        raise KeyboardInterrupt


def moment() -> tuple[float, datetime]:
    return time.monotonic(), datetime.now(UTC)


async def measure(
    victim: MurmurProcess, barrage: Barrage, *, frames: int, look_s: float
) -> tuple[list[Phase], float, float]:
    """Return the phases, the memory after a tenth of the frames (MiB), and how many seconds the barrage took."""
    watch, phases = Watch(victim, barrage), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.sample_forever)
        begun = moment()
        await trio.sleep(look_s)
        phases.append(watch.phase("before", begun, last_s=look_s / 2))
        begun, spans = moment(), Spans()
        nursery.start_soon(tell_progress, barrage)
        async with trio.open_nursery() as resting:
            resting.start_soon(spans.alternate, barrage)
            await barrage.send_all()
            resting.cancel_scope.cancel()
        took_s = time.monotonic() - begun[0]
        during = watch.phase("during", begun)
        phases.append(replace(during, gaps_s=gaps_of(victim, spans.pelted) or during.gaps_s))
        phases.append(replace(during, name="rests", gaps_s=gaps_of(victim, spans.rests) or phases[0].gaps_s))
        await trio.sleep(_SETTLE_S)
        begun = moment()
        await trio.sleep(look_s)
        phases.append(watch.phase("after", begun, last_s=look_s / 2))
        nursery.cancel_scope.cancel()
    filled = [each.rss_mib for each in watch.samples if each.sent >= _FILLED * frames][:_SAMPLES]
    return phases, statistics.median(filled), took_s


async def tell_progress(barrage: Barrage) -> None:
    while True:
        await trio.sleep(30.0)
        print(f"... {barrage.tally.sent.total():,} frames sent", file=sys.stderr, flush=True)


def verdicts(phases: Sequence[Phase], filled_mib: float) -> list[tuple[str, bool]]:
    before, during, rests, after = phases
    growth, slower = after.rss_mib / filled_mib, during.p95_s / rests.p95_s
    return [
        (
            f"memory after it: {growth:.3f} of the {filled_mib:.1f} MiB after a tenth of the frames (at most"
            f" {MAX_GROWTH}), {after.rss_mib / before.rss_mib:.3f} of before",
            growth <= MAX_GROWTH,
        ),
        (
            f"descriptors after it: {after.descriptors}, before {before.descriptors}",
            after.descriptors <= before.descriptors,
        ),
        (
            f"p95 between rounds during it: {slower:.2f} of that in the rests (at most {MAX_SLOWER})",
            slower <= MAX_SLOWER,
        ),
    ]


def report(phases: Sequence[Phase], barrage: Barrage, counters: dict[str, int], took_s: float) -> None:
    tally = barrage.tally
    print(f"{tally.sent.total():,} malformed frames in {took_s:.0f} s, {tally.turned_away} connections turned away:")
    for surface, count in sorted(tally.sent.items()):
        print(f"  {surface:20s} {count:9,}")
    print("\nthe peer that was pelted")
    print(f"  {'':8s} {'memory':>9s} {'at most':>9s} {'descriptors':>12s} {'rounds':>7s} {'median':>8s} {'p95':>8s}")
    for phase in phases:
        print(
            f"  {phase.name:8s} {phase.rss_mib:5.1f} MiB {phase.peak_mib:5.1f} MiB {phase.descriptors:12d}"
            f" {len(phase.gaps_s):7d} {statistics.median(phase.gaps_s):6.2f} s {phase.p95_s:6.2f} s"
        )
    refused = {
        name: count
        for name, count in counters.items()
        if count and (name.startswith(("refused_", "network_")) and not name.startswith("network_bytes"))
    }
    print("  what it counted: " + ", ".join(f"{count:,} {name}" for name, count in refused.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=600.0, help="frames a second, at most")
    parser.add_argument("--before-s", type=float, default=120.0, help="how long to look before it, and after it")
    options = parser.parse_args()
    # The three processes are to end with this one; trio knows how to be interrupted by SIGINT alone.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"seed {options.seed}, at most {options.rate:g} frames a second; {describe_machine()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="murmur-fuzz-") as folder, ExitStack() as stack:
        murmur = Murmur(Path(folder), stack)
        with interrupts_deferred():
            victim = murmur.peer("victim", *_SETTINGS)
        others = []
        for name in ("one", "two"):
            with interrupts_deferred():
                others.append(murmur.peer(name, *_SETTINGS, meet=[victim], altered=["--duty=0.05"]))
        victim.wait_for("round_sealed", lambda event: event["admitted"] == 3, within_s=START_S)
        run = wire_run_id(load_config([], {}, []))
        barrage = Barrage(port_of(victim), run=run, seed=options.seed, frames=options.frames, rate=options.rate)
        phases, filled_mib, took_s = trio.run(
            partial(measure, victim, barrage, frames=options.frames, look_s=options.before_s)
        )
        counters = read_status(Path(victim.named("peer_started")[0]["data_dir"]).parent, timeout_s=START_S).counters
        failed = counters["network_handler_errors"]
        seen = len(victim.events)
        victim.wait_for("round_sealed", lambda event: event["admitted"] == 3, after=seen)
        left = [event["remote"] for other in others for event in other.named("peer_left")]
        lost = left.count(identity_of(victim))
        codes = [process.stop() for process in (victim, *others)]
        tracebacks = sum("Traceback" in process.output for process in (victim, *others))
    report(phases, barrage, counters, took_s)
    judged = [
        *verdicts(phases, filled_mib),
        (f"handlers that raised what is no refusal: {failed}", failed == 0),
        (
            f"exit codes of the three, asked to stop: {codes}; tracebacks: {tracebacks}",
            not any(codes) and not tracebacks,
        ),
        (f"times that one of the others lost it: {lost}", lost == 0),
    ]
    for text, holds in judged:
        print(f"  {'yes' if holds else 'NO '} {text}")
    return 0 if all(holds for _, holds in judged) else 1


if __name__ == "__main__":
    code = 128 + signal.SIGINT
    try:
        code = main()
    except* KeyboardInterrupt:
        print("stopped before the end: nothing is judged", flush=True)
    raise SystemExit(code)
