"""Seeded schedules of faults: each is a swarm's life of 45 s under faults, then 30 s of calm."""

import random
from collections.abc import Collection
from functools import partial

from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.swarm_member import Faults, nothing_blocked

CHAOS_S = 45.0
CALM_S = 30.0
"""Finality may be the window behind after a fork in which a vote stays unknown (docs/adr/0003): six slow rounds."""
HEAL_S = 20.0


def run_schedule(seed: int, kinds: Collection[str]) -> MachineSwarm:
    """Run one schedule. kinds: of `loss`, `late`, `crash`, `pause`, `cut` (a partition of 3 to 20 s that heals)."""
    rng = random.Random(seed * 7919 + 1)
    size = rng.randint(2, 8)
    late = rng.randint(0, min(2, size - 1)) if "late" in kinds else 0
    faults = Faults(
        loss=rng.choice([0.0, 0.02, 0.1, 0.3]) if "loss" in kinds else 0.0,
        latency_s=rng.choice([0.005, 0.05, 0.3]),
        duplicate=rng.choice([0.0, 0.1]),
    )
    swarm = MachineSwarm(size, seed=seed, faults=faults, late=late)
    for number in range(size - late, size):
        swarm.after(rng.uniform(3, 20), partial(swarm.start, number))
    if "crash" in kinds:
        _plan_crashes(swarm, rng)
    if "pause" in kinds:
        for _ in range(rng.randint(1, 4)):
            swarm.after(rng.uniform(3, 30), partial(swarm.pause, rng.randrange(size), rng.uniform(0.5, 12)))
    if "cut" in kinds:
        # Merging two chains without a common window takes some exchanges, each of which loss and pauses may cost.
        swarm.watch.heal_s = HEAL_S if len(kinds) > 1 else swarm.watch.settle_s
        _plan_partition(swarm, rng)
    swarm.run(CHAOS_S)
    _calm_down(swarm)
    return swarm


def _plan_crashes(swarm: MachineSwarm, rng: random.Random) -> None:
    """Up to four crashes; half of them a moment after a save, so that restarts are from disk and from nothing."""
    for _ in range(rng.randint(0, 4)):
        number, at = rng.randrange(len(swarm.members)), rng.uniform(3, 30)
        swarm.after(at, partial(swarm.crash, number))
        if rng.random() < 0.5:
            swarm.after(at - 0.5, partial(swarm.save, number))
        swarm.after(at + rng.uniform(0.5, 15), partial(_start_if_dead, swarm, number))


def _plan_partition(swarm: MachineSwarm, rng: random.Random) -> None:
    border, at, lasts = rng.randint(1, len(swarm.members) - 1), rng.uniform(3, 15), rng.uniform(3, 20)
    swarm.after(at, partial(swarm.rewire, lambda a, b: (a < border) != (b < border)))
    swarm.after(at + lasts, partial(swarm.rewire, nothing_blocked))


def _start_if_dead(swarm: MachineSwarm, number: int) -> None:
    if not swarm.members[number].alive:
        swarm.start(number)


def _calm_down(swarm: MachineSwarm) -> None:
    for member in swarm.members:
        _start_if_dead(swarm, member.number)
    swarm.faults.loss = 0.0
    swarm.run(CALM_S)
