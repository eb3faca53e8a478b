"""Show what one learner learns, with how many env steps and in what time, seed by seed.

    python benchmarks/learning.py reach                     # env steps and seconds to a greedy return (20 episodes)
    python benchmarks/learning.py final --seeds 10          # greedy return (100 episodes) when the budget is spent
    python benchmarks/learning.py solve --seeds 10          # until the last 100 training episodes average it
    python benchmarks/learning.py final --env Acrobot-v1 ppo.learning_rate=5e-4

Settings are the presets of configs/, one thread, CPU; `final` lays those of benchmarks/goals.py over them that a known
number of steps allows. Greedy episodes have seeds that training never sees. Evaluations are left out of all times.
"""

import argparse
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import GOALS, Goal, settings_of
from benchmarks.machine import describe_machine
from peer.native import PpoAgent, PpoSettings, make_ppo_agent

EVAL_SEED = 1_000_000_000
_WINDOW = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one seed went. wall_s, cpu_s: of training alone, the making of the learner included."""

    seed: int
    reached: bool
    env_steps: int
    wall_s: float
    cpu_s: float
    score: float


class Stopwatch:
    """Adds up what runs inside it."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    def __enter__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall_s += time.perf_counter() - self._wall
        self.cpu_s += time.process_time() - self._cpu


class Window:
    """Mean return of the last training episodes: of as few stretches as hold at least 100 of them."""

    def __init__(self) -> None:
        self._stretches: deque[tuple[int, float]] = deque()
        self._episodes = 0

    def add(self, episodes: int, mean_return: float) -> None:
        if episodes:
            self._stretches.append((episodes, episodes * mean_return))
            self._episodes += episodes
            while self._episodes - self._stretches[0][0] >= _WINDOW:
                self._episodes -= self._stretches.popleft()[0]

    @property
    def mean(self) -> float:
        if self._episodes < _WINDOW:
            return float("-inf")
        return sum(total for _, total in self._stretches) / self._episodes


Trial = Callable[[PpoAgent, Goal, Stopwatch, int], float]
"""Trains one learner, whose iterations have so many env steps, and returns the score that is held against the goal."""


def reach(agent: PpoAgent, goal: Goal, watch: Stopwatch, _iteration: int) -> float:
    score = float("-inf")
    while agent.env_steps < goal.max_env_steps and score < goal.target:
        with watch:
            agent.train(goal.eval_env_steps, 3600.0)
        score = agent.evaluate(20, EVAL_SEED)
    return score


def final(agent: PpoAgent, goal: Goal, watch: Stopwatch, iteration: int) -> float:
    """Whole iterations within the budget, none beyond it."""
    with watch:
        agent.train(goal.max_env_steps // iteration * iteration, 3600.0)
    return agent.evaluate(100, EVAL_SEED)


def solve(agent: PpoAgent, goal: Goal, watch: Stopwatch, iteration: int) -> float:
    window = Window()
    with watch:
        while agent.env_steps < 4 * goal.max_env_steps and window.mean < goal.target:
            stats = agent.train(iteration, 3600.0)
            window.add(stats.episodes, stats.mean_return)
    return window.mean


TRIALS: dict[str, Trial] = {"reach": reach, "final": final, "solve": solve}
_WANTED = {
    "reach": "greedy return of 20 episodes at least {target:g}, looked at every {every:,} env steps",
    "final": "greedy return of 100 episodes after {budget:,} env steps; RL Baselines3 Zoo: {zoo:g} after {zoo_steps:,}",
    "solve": "mean return of the last 100 training episodes at least {target:g}",
}


def run_seed(name: str, goal: Goal, settings: PpoSettings, *, seed: int) -> Outcome:
    watch = Stopwatch()
    with watch:
        agent = make_ppo_agent(goal.env, replace(settings, seed=seed, local_seed=seed))
    score = TRIALS[name](agent, goal, watch, settings.num_envs * settings.rollout_steps)
    wanted = goal.zoo if name == "final" else goal.target
    return Outcome(
        seed=seed,
        reached=score >= wanted,
        env_steps=agent.env_steps,
        wall_s=watch.wall_s,
        cpu_s=watch.cpu_s,
        score=score,
    )


def report(name: str, goal: Goal, overrides: list[str], *, seeds: int) -> bool:
    """Run and print all seeds of one environment; True when it was reached: by the mean at a budget, else by all."""
    at_budget = goal.at_budget if name == "final" else ()
    config = goal.configured([*at_budget, *overrides])
    laid_over = " ".join([*at_budget, *overrides])
    print(f"{goal.env}: {_wanted(name, goal)}")
    print(f"  configs/{goal.preset or 'config.yaml'}{' ' if laid_over else ''}{laid_over}")
    outcomes = []
    for seed in range(1, seeds + 1):
        outcome = run_seed(name, goal, settings_of(config), seed=seed)
        outcomes.append(outcome)
        verdict = "" if outcome.reached else "  below" if name == "final" else "  NOT REACHED"
        print(
            f"  seed {seed:2d}: {outcome.score:8.1f} at {outcome.env_steps:9,} env steps,"
            f" {outcome.wall_s:6.2f} s ({outcome.cpu_s:.2f} s of CPU){verdict}",
            flush=True,
        )
    scores = [outcome.score for outcome in outcomes]
    reached = sum(outcome.reached for outcome in outcomes)
    print(
        f"  {reached}/{seeds} seeds; mean {statistics.mean(scores):.1f}, from {min(scores):.1f} to {max(scores):.1f};"
        f" median {statistics.median(o.env_steps for o in outcomes):,.0f} env steps,"
        f" {statistics.median(o.wall_s for o in outcomes):.2f} s"
        f" ({statistics.median(o.cpu_s for o in outcomes):.2f} s of CPU)"
    )
    return statistics.mean(scores) >= goal.zoo if name == "final" else reached == seeds


def _wanted(name: str, goal: Goal) -> str:
    return _WANTED[name].format(
        target=goal.target,
        every=goal.eval_env_steps,
        budget=goal.max_env_steps,
        zoo=goal.zoo,
        zoo_steps=goal.zoo_env_steps,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=sorted(TRIALS), nargs="?", default="reach")
    parser.add_argument("--env", choices=sorted(GOALS), action="append")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("settings", nargs="*", metavar="SECTION.KEY=VALUE")
    args = parser.parse_intermixed_args()

    print(describe_machine())
    everything = {
        "final": list(GOALS),
        "reach": ["CartPole-v1", "Pendulum-v1"],
        "solve": ["CartPole-v1", "Pendulum-v1"],
    }
    good = [
        report(args.measure, GOALS[env], args.settings, seeds=args.seeds)
        for env in args.env or everything[args.measure]
    ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
