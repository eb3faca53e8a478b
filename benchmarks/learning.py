"""Show that one learner solves its environment, and how fast: env steps and seconds to the target, per seed.

    python benchmarks/learning.py                       # CartPole-v1 to 475 and Pendulum-v1 to -200, 5 seeds each
    python benchmarks/learning.py --env CartPole-v1 --seeds 10 --set learning_rate=2e-3 --set hidden=(32,32)

The return is the mean of 20 greedy episodes on fixed seeds, evaluated after every `--eval-steps` env steps; its time
does not count. A seed that does not get there within `--max-steps` is reported as such and fails the run.
"""

import argparse
import ast
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe_machine
from peer.native import PpoSettings, make_ppo_agent


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What solved means, and the settings that solve it."""

    target: float
    max_env_steps: int
    eval_env_steps: int
    settings: PpoSettings


GOALS = {
    "CartPole-v1": Goal(
        target=475.0,
        max_env_steps=100_000,
        eval_env_steps=2048,
        settings=PpoSettings(
            num_envs=16,
            rollout_steps=32,
            epochs=10,
            minibatch_size=128,
            gamma=0.98,
            gae_lambda=0.8,
            learning_rate=1e-3,
            value_clip_range=0.0,
        ),
    ),
    "Pendulum-v1": Goal(
        target=-200.0,
        max_env_steps=150_000,
        eval_env_steps=2048,
        settings=PpoSettings(
            activation="relu",
            num_envs=16,
            rollout_steps=128,
            epochs=10,
            minibatch_size=128,
            gamma=0.9,
            gae_lambda=0.95,
            learning_rate=5e-4,
            value_clip_range=0.0,
            normalize_rewards=True,
        ),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one seed went. `env_steps` and `seconds` are those of the first evaluation at or above the target."""

    seed: int
    solved: bool
    env_steps: int
    seconds: float
    last_return: float


def run_seed(env_name: str, goal: Goal, *, seed: int) -> Outcome:
    """Train one seed until it is solved or out of steps."""
    agent = make_ppo_agent(env_name, replace(goal.settings, seed=seed, local_seed=seed))
    seconds = 0.0
    score = float("-inf")
    while agent.env_steps < goal.max_env_steps:
        start = time.perf_counter()
        agent.train(goal.eval_env_steps, 3600.0)
        seconds += time.perf_counter() - start
        score = agent.evaluate(20, 1_000_000)
        if score >= goal.target:
            break
    return Outcome(
        seed=seed, solved=score >= goal.target, env_steps=agent.env_steps, seconds=seconds, last_return=score
    )


def report(env_name: str, goal: Goal, *, seeds: int) -> bool:
    """Run and print all seeds of one environment; True when every one was solved."""
    print(f"{env_name} to a greedy return of {goal.target:g}; {goal.settings}")
    outcomes = []
    for seed in range(1, seeds + 1):
        outcome = run_seed(env_name, goal, seed=seed)
        outcomes.append(outcome)
        verdict = "solved" if outcome.solved else "NOT SOLVED"
        print(
            f"  seed {seed}: {verdict} at {outcome.env_steps:,} env steps, {outcome.seconds:.2f} s,"
            f" return {outcome.last_return:.1f}",
            flush=True,
        )
    solved = sum(outcome.solved for outcome in outcomes)
    print(
        f"  {solved}/{seeds} seeds; median {statistics.median(o.env_steps for o in outcomes):,.0f} env steps,"
        f" {statistics.median(o.seconds for o in outcomes):.2f} s"
    )
    return solved == seeds


def _setting(text: str) -> tuple[str, Any]:  # Any: a setting may be a number, a name or a list
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value  # a name, such as relu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=sorted(GOALS), action="append")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--max-steps", type=int, help="env steps after which a seed is given up")
    parser.add_argument("--eval-steps", type=int, help="env steps between two evaluations")
    args = parser.parse_args()

    print(describe_machine())
    solved = True
    for env_name in args.env or sorted(GOALS):
        goal = GOALS[env_name]
        goal = replace(
            goal,
            settings=replace(goal.settings, **dict(args.set)),
            max_env_steps=args.max_steps or goal.max_env_steps,
            eval_env_steps=args.eval_steps or goal.eval_env_steps,
        )
        solved = report(env_name, goal, seeds=args.seeds) and solved
    sys.exit(0 if solved else 1)


if __name__ == "__main__":
    main()
