"""Compare rounds of averaging with those of other federations that pip can install, on one machine over loopback.

    python benchmarks/federation.py                       # installs the rivals below build/rivals/ the first time
    python benchmarks/federation.py --members 4 --rounds 20 --repeats 3 --json

Each member works alone for `--work-s` (it rests), changes its parameters, and averages them with all others:

  Murmuration   `murmur peer`, but resting for most of its training; a round is over when it is final for a member
  Flower        FedAvg by a server, over its interface for plain processes
  hivemind      a group of all members that find each other by its DHT; matchmaking as by default

Then one member is killed (kill -9), and later whom all others had been told to turn to: Flower's server, the first peer
of the others. The federations run one after the other, `--repeats` times in turn. What is shown:

  overhead      time between two models of a member, less its work: median, and the longest. Ours works on while a
                round is sealed, so that little is left; the others wait for the result
  CPU           of all processes, the server's included, by members and rounds; ours with what it trains all the same
  equal         rounds after which all members held the same bytes
  killed        longest time from one model to the next of any survivor, its work included; "never": within `--watch-s`
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.federating.federations import FEDERATIONS, SIZES, FederationError, Scenario
from benchmarks.federating.measure import Outcome, measure
from benchmarks.machine import describe_machine
from benchmarks.rivals.environments import InstallError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--params", type=int, choices=SIZES, nargs="+", default=list(SIZES))
    parser.add_argument("--work-s", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--watch-s", type=float, default=60.0, help="how long survivors are watched after each kill")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.members < 3:
        parser.error("--members must be 3 at least: two are killed")
    outcomes: dict[str, list[Outcome]] = {}
    for params in options.params:
        scenario = Scenario(members=options.members, params=params, work_s=options.work_s)
        for repeat in range(1, options.repeats + 1):
            for name, start in FEDERATIONS.items():
                sys.stderr.write(f"{name}, {params:,} parameters | {repeat}/{options.repeats}\n")
                try:
                    outcome = measure(start, scenario, rounds=options.rounds, watch_s=options.watch_s)
                except (FederationError, InstallError) as error:
                    sys.stderr.write(f"left out: {error}\n")
                    continue
                sys.stderr.write(f"  {outcome}\n")
                outcomes.setdefault(f"{name}, {params:,} parameters", []).append(outcome)
    if options.json:
        print(json.dumps({name: [asdict(outcome) for outcome in found] for name, found in outcomes.items()}))
    else:
        print(f"{options.members} members, {options.work_s:g} s of work, {options.rounds} rounds; {describe_machine()}")
        print(table(outcomes))
    return 0


def table(outcomes: dict[str, list[Outcome]]) -> str:
    """Lay out medians over the repeats; overhead and pauses with the worst of all beside them."""
    lines = [
        f"{'':38}{'overhead':>10}{'longest':>10}{'CPU ms':>9}{'equal':>8}{'killed: a member':>20}{'the first':>20}",
    ]
    for name, found in outcomes.items():
        lines.append(
            f"{name:38}{statistics.median(o.overhead_s for o in found):>8.3f} s"
            f"{max(o.worst_overhead_s for o in found):>8.2f} s{statistics.median(o.cpu_ms for o in found):>9.0f}"
            f"{statistics.mean(o.equal for o in found):>8.0%}"
            f"{_pause([o.pause_s for o in found]):>20}{_pause([o.pause_without_first_s for o in found]):>20}"
        )
    return "\n".join(lines)


def _pause(found: Sequence[float | None]) -> str:
    """Return median and longest; how often survivors never had a model again, if that was so."""
    never = found.count(None)
    if never:
        return f"never ({never} of {len(found)})"
    known = [pause for pause in found if pause is not None]
    return f"{statistics.median(known):.1f} s ({max(known):.1f} s)"


if __name__ == "__main__":
    sys.exit(main())
