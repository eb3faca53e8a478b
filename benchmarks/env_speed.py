"""Measure how fast environments step, from Python: ours, and beside them Gymnasium's and EnvPool's where installed.

    python benchmarks/env_speed.py                                  # every environment, 1024 at once, 1 thread
    python benchmarks/env_speed.py --env CartPole-v1 --threads 2 --json
    taskset -c 0 python benchmarks/env_speed.py --repeats 15        # on a machine that does other things too

Random actions are drawn beforehand. Restarts are part of the work: under random actions a cart-pole lasts 22 steps.
Each repeat runs every contender once, so that a busy spell hits all of them; rates are env steps a second, and, in the
column "CPU", a second of this process's CPU time, which a busy machine disturbs less.

  native       VectorEnv.step_into: writes into the same arrays
  native/new   VectorEnv.step: new arrays each time
  gym-api      peer.gymnasium_env.NativeVectorEnv, copy=False, with the checks and infos of Gymnasium's interface
  gymnasium    gymnasium.make_vec: its vectorised CartPole, its SyncVectorEnv for the others (16 envs, which is faster)
  envpool      envpool.make_gymnasium, num_threads as given
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe_machine
from peer.native import StepArrays, VectorEnv, env_names, env_spec

NUM_BATCHES = 16  # of actions, used in turn
SYNC_ENVS = 16

Stepper = Callable[[int], None]  # step that many times
Actions = Any  # int64 or float32, as the contender wants them


def random_actions(name: str, num_envs: int, *, native: bool) -> list[Actions]:
    """Draw batches of actions: float32[N, A] for our core, as Gymnasium's spaces want them for the others."""
    rng = np.random.default_rng(0)
    spec = env_spec(name)
    if not spec.discrete:
        shape = (NUM_BATCHES, num_envs, spec.action_dim)
        return list(rng.uniform(spec.action_low, spec.action_high, size=shape).astype(np.float32))
    choices = rng.integers(spec.num_actions, size=(NUM_BATCHES, num_envs))
    return list(choices.astype(np.float32)[:, :, None] if native else choices)


def native(name: str, num_envs: int, *, threads: int) -> Stepper:
    env = VectorEnv(name, num_envs, seed=1, threads=threads)
    out = StepArrays(env)
    actions = random_actions(name, num_envs, native=True)

    def run(count: int) -> None:
        step_into = env.step_into
        for t in range(count):
            step_into(actions[t % NUM_BATCHES], out)

    return run


def stepping(step: Callable[[Actions], object], actions: list[Actions]) -> Stepper:
    def run(count: int) -> None:
        for t in range(count):
            step(actions[t % NUM_BATCHES])

    return run


def contenders(name: str, num_envs: int, *, threads: int) -> dict[str, tuple[int, Stepper]]:
    """Return each contender's batch size and stepper, by its label."""
    fresh = VectorEnv(name, num_envs, seed=1, threads=threads)
    found = {
        "native": (num_envs, native(name, num_envs, threads=threads)),
        "native/new": (num_envs, stepping(fresh.step, random_actions(name, num_envs, native=True))),
    }
    if importlib.util.find_spec("gymnasium"):
        import gymnasium as gym

        from peer.gymnasium_env import NativeVectorEnv

        ours = NativeVectorEnv(name, num_envs, threads=threads, copy=False)
        ours.reset(seed=1)
        found["gym-api"] = num_envs, stepping(ours.step, random_actions(name, num_envs, native=False))
        if name in gym.registry:
            batch = num_envs if gym.spec(name).vector_entry_point else SYNC_ENVS
            theirs = gym.make_vec(name, num_envs=batch)
            theirs.reset(seed=1)
            found["gymnasium"] = batch, stepping(theirs.step, random_actions(name, batch, native=False))
    if importlib.util.find_spec("envpool"):
        import envpool

        if name in envpool.list_all_envs():
            pool = envpool.make_gymnasium(name, num_envs=num_envs, num_threads=threads)
            pool.reset()
            found["envpool"] = num_envs, stepping(pool.step, random_actions(name, num_envs, native=False))
    return found


def calibrated(run: Stepper, *, seconds: float) -> int:
    """Return how many steps take about `seconds`."""
    count = 1
    while True:
        start = time.perf_counter()
        run(count)
        taken = time.perf_counter() - start
        if taken > seconds / 10:
            return max(1, round(count * seconds / taken))
        count *= 4


def measure(name: str, num_envs: int, *, threads: int, repeats: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return median, min and max of each contender's env steps a second, and the median of those a CPU second."""
    found = contenders(name, num_envs, threads=threads)
    counts = {label: calibrated(run, seconds=seconds) for label, (_, run) in found.items()}
    wall: dict[str, list[float]] = {label: [] for label in found}
    cpu: dict[str, list[float]] = {label: [] for label in found}
    for _ in range(repeats):
        for label, (batch, run) in found.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            run(counts[label])
            wall[label].append(batch * counts[label] / (time.perf_counter() - start))
            cpu[label].append(batch * counts[label] / (time.process_time() - cpu_start))
    return {
        label: {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
            "cpu_median": statistics.median(cpu[label]),
        }
        for label, values in wall.items()
    }


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Lay the results out in million steps a second, with the ratio of the first contender to each."""
    lines = [f"{'':26} {'':11} {'median':>9} {'min':>9} {'max':>9} {'CPU':>9} {'native is':>10}"]
    for name, found in results.items():
        for label, rate in found.items():
            ratio = found["native"]["median"] / rate["median"]
            figures = " ".join(f"{rate[key] / 1e6:9.2f}" for key in ("median", "min", "max", "cpu_median"))
            lines.append(f"{name:26} {label:11} {figures} {ratio:9.1f}x")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=env_names(), action="append")
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="length of each stretch")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    results = {
        name: measure(name, args.num_envs, threads=args.threads, repeats=args.repeats, seconds=args.seconds)
        for name in args.env or env_names()
    }
    setting = {"num_envs": args.num_envs, "threads": args.threads, "repeats": args.repeats}
    if args.json:
        print(json.dumps({**setting, "env_steps_per_s": results, "machine": describe_machine()}))
        return
    print(f"million env steps a second, {args.num_envs} envs, {args.threads} thread(s), {args.repeats} repeats")
    print(describe_machine())
    print(table(results))


if __name__ == "__main__":
    main()
