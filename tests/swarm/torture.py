"""The long part of the tests of the round protocol: thousands of seeded lives under every trouble that we know.

python -m tests.swarm.torture --seeds 2000            run seeds 0 to 1999 on all cores, print a report
python -m tests.swarm.torture --report FILE           write it, too: benchmarks/results/torture.txt, torture-groups.txt
python -m tests.swarm.torture --replay 1234           run one again, exactly, and show how it fails

SIGINT or SIGTERM ends a run early, with a report of the lives that are over.
"""

import argparse
import multiprocessing
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from peer.rounds.merging import BY_MAJORITY, BY_SCORE
from tests.swarm.calm import MOST_ROUNDS_TO_EQUAL, Calm, assert_one_again
from tests.swarm.judgement import assert_bounded, assert_each_piece_once, assert_nobody_blamed, assert_states_are_tips
from tests.swarm.nemesis import torment

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one seed. failure: "" when all held. rounds: of the common chain. unsaved: saves on full disks."""

    seed: int
    told: tuple[str, ...]
    peers: int
    rounds: int
    branches_left: int
    unsaved: int
    calm: Calm
    failure: str


def judge(seed: int, *, groups: bool = False, merge: str = BY_MAJORITY) -> Verdict:
    """Run one life and hold it against everything that must be true of it. groups, merge: as `nemesis.torment`."""
    swarm, told, calm = torment(seed, groups=groups, merge=merge)
    failure = ""
    try:
        assert swarm.conflicts == [], swarm.conflicts[:3]
        assert_one_again(swarm, calm)
        assert_states_are_tips(swarm)
        assert_each_piece_once(swarm)
        assert_bounded(swarm)
        if "corrupt 0.0" in told:
            assert_nobody_blamed(swarm)
    except AssertionError:
        failure = traceback.format_exc(limit=-1).replace(f"{ROOT}/", "").replace("\n", " ")[-300:]
    return Verdict(
        seed=seed,
        told=tuple(told),
        peers=len(swarm.members),
        rounds=max(member.machine.tip.round for member in swarm.alive),
        branches_left=sum(len(member.abandoned) + member.switched for member in swarm.members),
        unsaved=sum(member.unsaved for member in swarm.members),
        calm=calm,
        failure=failure,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2000, help="how many lives")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further life after this long")
    parser.add_argument("--replay", type=int, help="run this seed alone")
    parser.add_argument("--groups", action="store_true", help="lives of large swarms: rules under which a few are one")
    parser.add_argument("--merge", choices=(BY_MAJORITY, BY_SCORE), default=BY_MAJORITY, help="as round.merge")
    parser.add_argument("--report", type=Path, help="write the report to this file, too")
    arguments = parser.parse_args()
    if arguments.replay is not None:
        verdict = judge(arguments.replay, groups=arguments.groups, merge=arguments.merge)
        print(f"seed {verdict.seed}: {', '.join(verdict.told)}\n{verdict.failure or 'all held'}")
        return bool(verdict.failure)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a shell's background job does not hear SIGINT
    started = time.monotonic()
    verdicts: list[Verdict] = []
    with multiprocessing.Pool(arguments.jobs, _leave_signals_to_the_parent) as pool, suppress(KeyboardInterrupt):
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        for verdict in pool.imap_unordered(partial(judge, groups=arguments.groups, merge=arguments.merge), seeds):
            verdicts.append(verdict)
            if verdict.failure:
                print(f"FAILED {describe(verdict)}", flush=True)
            if time.monotonic() - started > 60 * arguments.minutes:
                pool.terminate()
                break
    if not verdicts:
        print("ended before a life was over")
        return 1
    text = report(verdicts, wall_s=time.monotonic() - started, jobs=arguments.jobs)
    flags = ("--groups " if arguments.groups else "") + (
        f"--merge {arguments.merge} " if arguments.merge != BY_MAJORITY else ""
    )
    text = text.replace("ARGS='", f"ARGS='{flags}").replace("--replay", f"{flags}--replay")
    print(text)
    if arguments.report:
        arguments.report.write_text(text)
    return any(verdict.failure for verdict in verdicts)


def _leave_signals_to_the_parent() -> None:
    """Ctrl-C reaches all; SIGTERM is what the pool ends its workers with."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def describe(verdict: Verdict) -> str:
    return (
        f"seed {verdict.seed} ({', '.join(verdict.told)}): {verdict.failure}\n"
        f"  replay: python -m tests.swarm.torture --replay {verdict.seed}"
    )


def report(verdicts: list[Verdict], *, wall_s: float, jobs: int) -> str:
    """Return the committed text: what was run, what held, and every failure with its replay."""
    failed = sorted((verdict for verdict in verdicts if verdict.failure), key=lambda verdict: verdict.seed)
    troubles = Counter(name for verdict in verdicts for name in verdict.told[1:])
    sizes = Counter("2-8" if v.peers <= 8 else "9-16" if v.peers <= 16 else "17-64" for v in verdicts)
    seeds = [verdict.seed for verdict in verdicts]
    lines = [
        "Torture of the round protocol: seeded lives of whole swarms of round machines in virtual time.",
        f"Command: make torture SEEDS={len(seeds)} ARGS='--first {min(seeds)}'   ({jobs} processes,"
        f" {wall_s / 60:.0f} min)",
        f"{len(verdicts)} lives of {min(v.peers for v in verdicts)} to {max(v.peers for v in verdicts)} peers;"
        f" {sum(v.rounds for v in verdicts)} rounds; a peer changed branch {sum(v.branches_left for v in verdicts)}"
        " times.",
        "",
        "Held in every life that is not listed below: two connected peers hold the same model for a round final on",
        f"both; all tips are equal at most {MOST_ROUNDS_TO_EQUAL} rounds after the faults stop, finality catches up",
        "a window of rounds later; no stretch of training counts twice; every stretch of a peer that never died",
        "counts or is on its way; honest peers refuse nothing of each other; tables stay bounded. Connected means: for",
        "20 s, with no link between any peers cut or mended in the last 20 s.",
        f"Rounds sealed from the last fault until all tips were equal: {_told(v.calm.until_equal for v in verdicts)}.",
        f"Until finality had caught up, too: {_told(v.calm.until_final for v in verdicts)}.",
        f"Lives by peers: {', '.join(f'{size}: {count}' for size, count in sorted(sizes.items()))}. Lives in which"
        f" a peer left its branch: {sum(v.branches_left > 0 for v in verdicts)}. Saves that a full"
        f" disk refused: {sum(v.unsaved for v in verdicts)}.",
        "",
        "Lives with each trouble: " + ", ".join(f"{name}: {count}" for name, count in sorted(troubles.items())),
        "",
        f"Failed: {len(failed)}",
        *(describe(verdict) for verdict in failed),
    ]
    return "\n".join(lines) + "\n"


def _told(rounds: Iterable[int | None]) -> str:
    """Return how many lives took each number of rounds."""
    counts = Counter(rounds)
    known = sorted(number for number in counts if number is not None)
    return ", ".join([*(f"{number}: {counts[number]}" for number in known), f"never: {counts[None]}"])


if __name__ == "__main__":
    sys.exit(main())
