"""Time to solve CartPole-v1, ours and the rivals', in turn: the last 100 training episodes average 475.

    python benchmarks/solve.py --seeds 5                     # installs the rivals the first time (versus.py)

Ours has the hyperparameters of configs/config.yaml, Stable-Baselines3 those of RL Baselines3 Zoo, PufferLib the best of
a few that were tried, as its own are for a GPU (rivals/solve_pufferlib.py). One thread each; imports are left out, the
making of the learner counts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import GOALS
from benchmarks.learning import Outcome, run_seed
from benchmarks.machine import describe_machine
from benchmarks.rivals.environments import ROOT, prepare

OURS = "Murmuration"
RIVALS = {
    "Stable-Baselines3 2.9": ("stable-baselines3", "solve_stable_baselines3.py"),
    "PufferLib 3.0": ("pufferlib", "solve_pufferlib.py"),
}
"""Name in the table -> its environment, and its program in rivals/."""


def ours(seed: int) -> Outcome:
    goal = GOALS["CartPole-v1"]
    return run_seed("solve", goal, goal.settings, seed=seed)


def theirs(seed: int, *, environment: str, program: str) -> Outcome:
    """Raises: CalledProcessError when the rival's program fails; its words are on stderr."""
    python, folder = prepare(environment)
    path = ROOT / "benchmarks" / "rivals" / program
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [str(python), str(path), "--seed", str(seed)],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    return Outcome(seed=seed, reached=result["score"] >= GOALS["CartPole-v1"].target, **result)


def row(name: str, outcomes: list[Outcome], reference: list[Outcome]) -> str:
    """Return a line of the table. reference: ours."""
    seconds = [outcome.wall_s for outcome in outcomes]
    wall_s, cpu_s = medians(outcomes)
    our_wall_s, our_cpu_s = medians(reference)
    solved = sum(outcome.reached for outcome in outcomes)
    return (
        f"  {name:24}  {f'{solved}/{len(outcomes)}':>6}  {statistics.median(o.env_steps for o in outcomes):>9,.0f}"
        f"  {wall_s:>8.2f} s  {f'{min(seconds):.2f} to {max(seconds):.2f}':>16}  {wall_s / our_wall_s:>6.1f}x"
        f"  {cpu_s:>8.2f} s  {cpu_s / our_cpu_s:>6.1f}x"
    )


def medians(outcomes: list[Outcome]) -> tuple[float, float]:
    """Return the median seconds by the clock and of CPU time, which a busy machine disturbs less."""
    return statistics.median(o.wall_s for o in outcomes), statistics.median(o.cpu_s for o in outcomes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(1, parser.parse_args().seeds + 1)

    print(f"$ python benchmarks/solve.py --seeds {len(seeds)}\nbefore: {describe_machine()}", flush=True)
    trials: dict[str, Callable[[int], Outcome]] = {OURS: ours}
    for name, (environment, program) in RIVALS.items():
        trials[name] = partial(theirs, environment=environment, program=program)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in trials}
    for seed in seeds:
        for name, trial in trials.items():
            outcome = trial(seed)
            outcomes[name].append(outcome)
            sys.stderr.write(f"{name}, seed {seed}: {outcome.wall_s:.2f} s, {outcome.env_steps:,} env steps\n")
    print(f"after:  {describe_machine()}")
    print(f"  {'':24}  solved  env steps      median        min to max  ours is         CPU  ours is")
    for name, measured in outcomes.items():
        print(row(name, measured, outcomes[OURS]))


if __name__ == "__main__":
    main()
