"""How long PufferLib's trainer takes to solve its CartPole in C: the last 100 training episodes average 475 steps.

Its published configuration is for 4096 envs and 20 million steps on a GPU. These settings took the least CPU time of
five that were tried on one core, with 8 to 256 envs and 2 seeds each. Prints one line of JSON: env_steps, wall_s, cpu_s
and score. The clock starts when all is imported, as it does for ours.
"""

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))  # its unpacked and built sources

import numpy as np
import pufferlib.vector
import torch
from pufferlib.ocean.cartpole.cartpole import Cartpole

from benchmarks.rivals.run_pufferlib import Policy, Trainer, config
from benchmarks.rivals.stretch import Options, Setting

MAX_ENV_STEPS = 1_000_000
TARGET = 475.0
WINDOW = 100
SETTING = Setting(num_envs=64, rollout_steps=32, epochs=4, minibatch_size=512)
HYPERPARAMETERS = {"learning_rate": 5e-3, "gamma": 0.98, "gae_lambda": 0.9}


class ScoredCartpole(Cartpole):  # type: ignore[misc]  # it has no types
    """Remembers the lengths of the last episodes; those that end in one step are reported by their mean."""

    lengths: deque[float]

    def step(self, actions: np.ndarray) -> tuple[object, ...]:
        *rest, reports = super().step(actions)
        for report in reports:
            self._take(report)
        return (*rest, [])

    def _take(self, report: Mapping[str, float]) -> None:
        if report:
            self.lengths.extend([report["score"]] * round(report["n"]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    seed = parser.parse_args().seed
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    wall, cpu = time.perf_counter(), time.process_time()
    options = Options(env="CartPole-v1", setting=SETTING, threads=1, variant="")
    envs = pufferlib.vector.make(
        ScoredCartpole,
        env_kwargs={"num_envs": SETTING.num_envs, "seed": seed},
        backend=pufferlib.vector.PufferEnv,
        seed=seed,
    )
    envs.lengths = deque(maxlen=WINDOW)
    trainer = Trainer({**config(options), **HYPERPARAMETERS, "seed": seed}, envs, Policy(obs_dim=4, num_actions=2))
    env_steps, score = 0, float("-inf")
    while env_steps < MAX_ENV_STEPS and score < TARGET:
        trainer.evaluate()
        trainer.train()
        env_steps += SETTING.batch_size
        if len(envs.lengths) == WINDOW:
            score = sum(envs.lengths) / WINDOW
    result = {
        "env_steps": env_steps,
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "score": score,
    }
    trainer.utilization.stop()
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
