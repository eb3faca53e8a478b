"""What every rival's program shares: its options, and how it measures itself when it is asked to.

It runs in the rivals' virtual environments, so it needs the standard library only.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Both settings share the rest: separate actor and critic of 2 x 64 tanh, Adam at 2.5e-4, normalised advantages,
    clip 0.2 for ratio and value, gradient clip 0.5, no entropy bonus."""

    num_envs: int
    rollout_steps: int
    epochs: int
    minibatch_size: int

    @property
    def batch_size(self) -> int:
        return self.num_envs * self.rollout_steps


SETTINGS = {
    "classic": Setting(num_envs=8, rollout_steps=128, epochs=4, minibatch_size=256),
    "throughput": Setting(num_envs=1024, rollout_steps=64, epochs=2, minibatch_size=16384),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    env: str
    setting: Setting
    threads: int
    variant: str


def read_options(*, variants: tuple[str, ...] = ("",)) -> Options:
    """Read the command line. variants: what the program can do in more than one way, such as its env library."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", required=True)
    parser.add_argument("--setting", choices=sorted(SETTINGS), required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--variant", choices=variants, default=variants[0])
    given = parser.parse_args()
    return Options(
        env=given.env,
        setting=SETTINGS[given.setting],
        threads=given.threads,
        variant=given.variant,
    )


class Stretches:
    """Measures stretch after stretch of one running trainer, each when stdin asks for it, until stdin ends.

    A line of stdin is a number of seconds; the answer is one line of JSON on stdout. The first iteration warms up and
    is not counted; `{}` then says that the trainer is ready.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._start: tuple[float, float] | None = None
        self._env_steps = 0

    def iteration_done(self, env_steps: int) -> bool:
        """Add an iteration; between two stretches wait for the next. Return whether no more are wanted."""
        if self._start is None:
            return self._answer({})
        self._env_steps += env_steps
        wall, cpu = time.perf_counter() - self._start[0], time.process_time() - self._start[1]
        if wall < self._seconds:
            return False
        return self._answer({"env_steps_per_s": self._env_steps / wall, "env_steps_per_cpu_s": self._env_steps / cpu})

    def _answer(self, result: dict[str, float]) -> bool:
        sys.stdout.write("\n" + json.dumps(result) + "\n")
        sys.stdout.flush()
        request = sys.stdin.readline()
        if not request:
            return True
        self._seconds = float(request)
        self._env_steps = 0
        self._start = time.perf_counter(), time.process_time()
        return False


def run_iterations(iterate: Callable[[], int]) -> None:
    """Call `iterate`, which returns its env steps, as long as stretches are wanted."""
    stretches = Stretches()
    while not stretches.iteration_done(iterate()):
        pass
