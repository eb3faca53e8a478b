"""What every rival's program shares: its options, its clock, and the one line of JSON that it ends with.

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
    seconds: float
    variant: str


def read_options(*, variants: tuple[str, ...] = ("",)) -> Options:
    """Read the command line. variants: what the program can do in more than one way, such as its env library."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", required=True)
    parser.add_argument("--setting", choices=sorted(SETTINGS), required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--variant", choices=variants, default=variants[0])
    given = parser.parse_args()
    return Options(
        env=given.env,
        setting=SETTINGS[given.setting],
        threads=given.threads,
        seconds=given.seconds,
        variant=given.variant,
    )


class Clock:
    """Counts env steps from the end of the first iteration, which warms up, until `seconds` have passed."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._start: tuple[float, float] | None = None
        self._env_steps = 0

    def iteration_done(self, env_steps: int) -> bool:
        """Add an iteration, the warm-up excepted; return whether the time is over."""
        if self._start is None:
            self._start = time.perf_counter(), time.process_time()
            return False
        self._env_steps += env_steps
        return time.perf_counter() - self._start[0] >= self._seconds

    def tell(self) -> None:
        """Print the result as the last line of stdout."""
        assert self._start is not None
        wall, cpu = time.perf_counter() - self._start[0], time.process_time() - self._start[1]
        result = {"env_steps_per_s": self._env_steps / wall, "env_steps_per_cpu_s": self._env_steps / cpu}
        sys.stdout.write("\n" + json.dumps(result) + "\n")


def run_iterations(iterate: Callable[[], int], *, seconds: float) -> None:
    """Call `iterate`, which returns its env steps, until the time is over, and tell the result."""
    clock = Clock(seconds)
    while not clock.iteration_done(iterate()):
        pass
    clock.tell()
