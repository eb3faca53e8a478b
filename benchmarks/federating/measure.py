"""What is measured of one federation: its rounds when all is well, and its longest pauses after two kills."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.federating.federations import FederationError, Scenario, Start
from benchmarks.federating.member import Member
from peer.types import Seconds

_WARM_UP_ROUNDS = 8
"""After that everybody has met everybody, and what is compiled or connected at first use is."""
_ROUND_WITHIN_S = 30.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """overhead_s, worst_overhead_s: time between two models of a member, less its work; median and longest.

    cpu_ms: of all processes, by rounds and members. equal: part of the rounds after which all members held the same
    bytes. pause_s, pause_without_first_s: longest time without a new model of any survivor, after a member was killed,
    and after whom all others had been told to turn to; None where somebody was without one until the end.
    """

    overhead_s: float
    worst_overhead_s: float
    cpu_ms: float
    equal: float
    pause_s: float | None
    pause_without_first_s: float | None


def measure(start: Start, scenario: Scenario, *, rounds: int, watch_s: float) -> Outcome:
    """Run one federation, then kill its last member, then its first process. Raises: FederationError, InstallError."""
    with tempfile.TemporaryDirectory(prefix="murmur-federation-") as folder, ExitStack() as stack:
        federation = start(scenario, stack, Path(folder))
        members = federation.members
        _rounds_of_all(members, _WARM_UP_ROUNDS)
        cpu_s = sum(process.cpu_s() for process in federation.processes)
        counts = [len(member.models) for member in members]
        _rounds_of_all(members, rounds)
        cpu_s = sum(process.cpu_s() for process in federation.processes) - cpu_s
        done = sum(len(member.models) - count for member, count in zip(members, counts, strict=True))
        times = [[model.at for model in member.models[count:]] for member, count in zip(members, counts, strict=True)]
        overheads = [later - at - scenario.work_s for member in times for at, later in itertools.pairwise(member)]
        equal = part_held_by_all(
            [model.model for model in members[0].models[counts[0] : -2]], members
        )  # some lag behind
        members[-1].kill()
        survivors = members[:-1]
        pause_s = _watch(survivors, watch_s)
        federation.first.kill()
        pause_without_first_s = _watch([m for m in survivors if m is not federation.first], watch_s)
        return Outcome(
            overhead_s=statistics.median(overheads),
            worst_overhead_s=max(overheads),
            cpu_ms=1e3 * cpu_s / done,
            equal=equal,
            pause_s=pause_s,
            pause_without_first_s=pause_without_first_s,
        )


def part_held_by_all(models: Sequence[str], members: Sequence[Member]) -> float:
    """Return which part of `models` every member held at some time."""
    held = [{model.model for model in member.models} for member in members]
    return statistics.mean(all(model in models_of for models_of in held) for model in models)


def _rounds_of_all(members: Sequence[Member], rounds: int) -> None:
    """Wait until every member has had so many models more."""
    wanted = [len(member.models) + rounds for member in members]

    def missing() -> Member | None:
        return next((m for m, count in zip(members, wanted, strict=True) if len(m.models) < count), None)

    if not _wait(lambda: missing() is None, within_s=_ROUND_WITHIN_S * rounds):
        member = missing()
        assert member is not None
        raise FederationError(f"{member.name} made {len(member.models)} rounds only: " + "\n".join(member.tail))


def _watch(members: Sequence[Member], watch_s: float) -> float | None:
    begun = time.monotonic()
    time.sleep(watch_s)
    ended = time.monotonic()
    return longest_pause([[model.at for model in member.models] for member in members], begun=begun, ended=ended)


def longest_pause(times: Sequence[Sequence[Seconds]], *, begun: Seconds, ended: Seconds) -> Seconds | None:
    """Return the longest time without a new model from `begun` on, which a member may have been waiting for before.

    times: of the models of each member. None where a member had none in the second half of the time.
    """
    longest = 0.0
    for member in times:
        before = max((at for at in member if at <= begun), default=begun)
        after = [at for at in member if begun < at <= ended]
        if not after or after[-1] < (begun + ended) / 2:
            return None
        longest = max(longest, *(later - at for at, later in itertools.pairwise([before, *after])))
    return longest


def _wait(done: Callable[[], bool], *, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_S)
    return True
