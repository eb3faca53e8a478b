"""Env steps a second of several stretches, measured one after the other."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from peer.types import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What one stretch did. cpu_s: of all threads; a busy machine disturbs it less than `wall_s`."""

    env_steps: int
    wall_s: Seconds
    cpu_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median and extremes: shared machines are noisy, and a mean would hide it."""

    median: float
    min: float
    max: float


def measure(
    steps: Callable[[Seconds], int], *, seconds: Seconds, repeats: int, done: Callable[[Stretch], None]
) -> list[Stretch]:
    """Call `steps`, which works for about so many seconds and returns its env steps, `repeats` times.

    A first call, at most a second long, warms up caches and clocks and is not counted. done: called after each stretch.
    """
    steps(min(seconds, 1.0))
    stretches = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        env_steps = steps(seconds)
        stretch = Stretch(env_steps=env_steps, wall_s=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)
        stretches.append(stretch)
        done(stretch)
    return stretches


def wall_rate(stretch: Stretch) -> float:
    return stretch.env_steps / stretch.wall_s


def cpu_rate(stretch: Stretch) -> float:
    return stretch.env_steps / stretch.cpu_s if stretch.cpu_s > 0 else 0.0


def spread(values: list[float]) -> Spread:
    return Spread(median=statistics.median(values), min=min(values), max=max(values))
