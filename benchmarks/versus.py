"""Compare PPO end to end with the trainers that pip can install: same machine, same settings, turn by turn.

    python benchmarks/versus.py --quick                        # installs the rivals below build/rivals/ the first time
    python benchmarks/versus.py --output benchmarks/results/versus_cartpole
    python benchmarks/versus.py --env Pendulum-v1 --setting classic --threads 1 --json
    python benchmarks/versus.py --merge one.json two.json --output both      # measured apart, reported together

In each of `--rounds` rounds every contestant trains one stretch while the others wait, so that a change of the
machine's load meets all of them; nothing is thrown away. The table shows median, extremes, env steps for each second of
CPU time (which a busy machine disturbs less), and how many times as fast ours is, by either. Two threads give a
contestant two threads for torch and for its env library.

On a machine with other work to do set OMP_WAIT_POLICY=PASSIVE: the rivals' threads then sleep while they wait, which is
several times as fast there as spinning.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe_machine
from benchmarks.rivals.contestants import CONTESTANTS, Contestant, Rate, Scenario
from benchmarks.rivals.environments import InstallError, prepare
from benchmarks.rivals.results import ScenarioResult, result_from, summarize, table
from benchmarks.rivals.sessions import ContestantError, Session, open_session

SCENARIOS = (
    Scenario(env="CartPole-v1", setting="classic", threads=1),
    Scenario(env="CartPole-v1", setting="throughput", threads=1),
    Scenario(env="CartPole-v1", setting="throughput", threads=2),
    Scenario(env="Pendulum-v1", setting="classic", threads=1),
)


_NOTE = (
    "A load above the number of cores means other work on the machine: rates by the clock are then a part of what it\n"
    "can do, and loops in Python lose more to it than ours, also for each second of CPU time."
)


def compare(scenario: Scenario, contestants: list[Contestant], *, rounds: int, seconds: float) -> ScenarioResult:
    """Measure all that can do the scenario, in turn. One that fails is named on stderr and not tried again."""
    rates: dict[str, list[Rate]] = {}
    with ExitStack() as stack:
        sessions: dict[str, Session] = {}
        for contestant in contestants:
            if scenario.env in contestant.envs:
                with _left_out_on_failure():
                    sessions[contestant.name] = stack.enter_context(open_session(contestant, scenario))
        for number in range(1, rounds + 1):
            for name in list(sessions):
                session = sessions.pop(name)
                with _left_out_on_failure():
                    rate = session.measure(seconds)
                    rates.setdefault(name, []).append(rate)
                    sessions[name] = session  # at the end again: the order stays
                    _tell(f"{scenario.title} | {number}/{rounds} | {name}", rate)
    return summarize(scenario, rates)


@contextmanager
def _left_out_on_failure() -> Iterator[None]:
    try:
        yield
    except (ContestantError, InstallError) as error:
        sys.stderr.write(f"left out: {error}\n")


def _tell(what: str, rate: Rate) -> None:
    load = os.getloadavg()[0]
    sys.stderr.write(f"{what}: {rate.wall:,.0f} env steps/s ({rate.cpu:,.0f} per CPU s) | load {load:.1f}\n")


def usable(contestants: list[Contestant]) -> list[Contestant]:
    """Install every rival; name those that cannot be and leave them out."""
    found = []
    for contestant in contestants:
        try:
            if contestant.requirements:
                prepare(contestant.requirements)
            found.append(contestant)
        except InstallError as error:
            sys.stderr.write(f"left out: {contestant.name}: {error}\n")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one call measured. machine: with its load before and after. rounds, seconds: stretches, length of each."""

    command: str
    machine: list[str]
    rounds: int
    seconds: float
    results: list[ScenarioResult]

    def heading(self) -> str:
        return f"$ {self.command}\nbefore: {self.machine[0]}\nafter:  {self.machine[1]}"


def report(measurements: list[Measurement]) -> str:
    headings = "\n".join(each.heading() for each in measurements)
    tables = "\n\n".join(table(result) for each in measurements for result in each.results if result.rows)
    return f"{headings}\n{_NOTE}\n\n{tables}\n"


def to_json(measurements: list[Measurement]) -> str:
    return json.dumps([asdict(each) for each in measurements])


def from_json(text: str) -> list[Measurement]:
    """Read what `to_json` wrote."""
    return [
        Measurement(**{**each, "results": [result_from(result) for result in each["results"]]})
        for each in json.loads(text)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=sorted({scenario.env for scenario in SCENARIOS}))
    parser.add_argument("--setting", choices=("classic", "throughput"))
    parser.add_argument("--threads", type=int, choices=(1, 2))
    parser.add_argument("--only", metavar="TEXT", action="append", help="contestants whose name holds TEXT, and ours")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each stretch")
    parser.add_argument("--quick", action="store_true", help="one round of one second: does everything run?")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--output", type=Path, metavar="PREFIX", help="write PREFIX.txt, PREFIX.json and PREFIX.png")
    parser.add_argument("--merge", type=Path, metavar="JSON", nargs="+", help="measure nothing: report these together")
    given = parser.parse_args()
    if given.merge:
        measurements = [each for path in given.merge for each in from_json(path.read_text())]
    else:
        measurements = [_measure(parser, given)]
    text, data = report(measurements), to_json(measurements)
    sys.stdout.write(data + "\n" if given.json else text)
    if given.output is not None:
        _write(given.output, measurements, text=text, data=data)
    return 0


def _measure(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Measurement:
    rounds, seconds = (1, 1.0) if given.quick else (given.rounds, given.seconds)

    scenarios = [
        scenario
        for scenario in SCENARIOS
        if given.env in (None, scenario.env)
        and given.setting in (None, scenario.setting)
        and given.threads in (None, scenario.threads)
    ]
    if not scenarios or rounds < 1 or not seconds > 0:
        parser.error("nothing to measure: no such scenario, or no rounds or seconds")
    contestants = usable([each for each in CONTESTANTS if _wanted(each, given.only)])
    before = describe_machine()
    results = [compare(scenario, contestants, rounds=rounds, seconds=seconds) for scenario in scenarios]
    machine = [before, describe_machine()]
    return Measurement(command=_command(), machine=machine, rounds=rounds, seconds=seconds, results=results)


def _wanted(contestant: Contestant, only: list[str] | None) -> bool:
    return only is None or contestant.name == CONTESTANTS[0].name or any(text in contestant.name for text in only)


def _command() -> str:
    """Return what to type to get these figures again."""
    policy = os.environ.get("OMP_WAIT_POLICY")
    words = [f"OMP_WAIT_POLICY={policy}"] if policy else []
    return " ".join([*words, "python", "benchmarks/versus.py", *sys.argv[1:]])


def _write(prefix: Path, measurements: list[Measurement], *, text: str, data: str) -> None:
    from benchmarks.rivals.figure import draw  # matplotlib: `pip install matplotlib`

    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_suffix(".txt").write_text(text)
    prefix.with_suffix(".json").write_text(data + "\n")
    results = [result for each in measurements for result in each.results if result.rows]
    first = measurements[0]
    footer = f"medians of {first.rounds} stretches of {first.seconds:g} s, whiskers: extremes; {first.machine[0]}"
    draw(prefix.with_suffix(".png"), results, footer=footer)


if __name__ == "__main__":
    sys.exit(main())
