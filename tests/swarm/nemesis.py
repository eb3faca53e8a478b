"""Every trouble that a swarm may meet, as seeded plans over one `MachineSwarm`; each seed draws some of them together.

Faults last for 45 s of virtual time, then all links are whole, everybody runs, and calm follows.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from peer.rounds.merging import BY_MAJORITY
from peer.rounds.rules import RoundRules
from tests.swarm.calm import Calm, live_through_calm
from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.swarm_member import Faults, nothing_blocked

CHAOS_S = 45.0

Plan = Callable[[MachineSwarm, random.Random], None]


def crashes(swarm: MachineSwarm, rng: random.Random) -> None:
    """Peers die and come back under the same key, from disk or from nothing."""
    for _ in range(rng.randint(1, 5)):
        number, at = rng.randrange(len(swarm.members)), rng.uniform(2, 30)
        if rng.random() < 0.5:
            swarm.after(at - 0.5, partial(swarm.save, number))
        swarm.after(at, partial(swarm.crash, number))
        swarm.after(at + rng.uniform(0.3, 15), partial(start_if_dead, swarm, number))


def pauses(swarm: MachineSwarm, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 5)):
        number = rng.randrange(len(swarm.members))
        swarm.after(rng.uniform(2, 30), partial(swarm.pause, number, rng.uniform(0.5, 12)))


def partitions(swarm: MachineSwarm, rng: random.Random) -> None:
    """Cut the swarm into two or three, once or twice."""
    at = rng.uniform(2, 10)
    for _ in range(rng.randint(1, 2)):
        sides = [rng.randrange(rng.choice([2, 3])) for _ in swarm.members]
        swarm.after(at, partial(swarm.rewire, partial(_apart, tuple(sides))))
        at += rng.uniform(3, 20)
        swarm.after(at, partial(swarm.rewire, nothing_blocked))
        at += rng.uniform(1, 8)


def deaf_links(swarm: MachineSwarm, rng: random.Random) -> None:
    """Some links carry nothing in one direction."""
    pairs = {(a, b) for a in range(len(swarm.members)) for b in range(len(swarm.members)) if rng.random() < 0.15}
    swarm.after(rng.uniform(1, 10), partial(setattr, swarm.faults, "deaf", lambda a, b: (a, b) in pairs))


def dying_sealers(swarm: MachineSwarm, rng: random.Random) -> None:
    """For a while, whoever is about to seal dies, and comes back some seconds later."""

    def strike() -> None:
        alive = swarm.alive
        if len(alive) > 1:
            victim = swarm.by_id[alive[0].machine.next_sealer()].number
            swarm.crash(victim)
            swarm.after(rng.uniform(1, 6), partial(start_if_dead, swarm, victim))

    first = rng.uniform(3, 15)
    for strikes in range(rng.randint(2, 6)):
        swarm.after(first + 2.3 * strikes, strike)


def everybody_restarts(swarm: MachineSwarm, rng: random.Random) -> None:
    """The power fails. Some peers saved lately, some long ago, some disks were full and hold nothing."""
    at = rng.uniform(8, 25)
    for number in range(len(swarm.members)):
        for _ in range(rng.randint(0, 2)):
            swarm.after(rng.uniform(1, at), partial(swarm.save, number))
        swarm.after(at, partial(swarm.crash, number))
        swarm.after(at + rng.uniform(0.1, 5), partial(start_if_dead, swarm, number))


def late_joins(swarm: MachineSwarm, rng: random.Random) -> None:
    """Peers join from nothing, and those that they would take the state from die a moment later."""
    for _ in range(rng.randint(1, 3)):
        number, at = rng.randrange(len(swarm.members)), rng.uniform(1, 3)
        back = at + rng.uniform(14, 25)
        swarm.after(at, partial(swarm.crash, number))
        swarm.after(back, partial(start_if_dead, swarm, number))
        donor = rng.randrange(len(swarm.members))
        swarm.after(back + rng.uniform(0.01, 0.3), partial(swarm.crash, donor))
        swarm.after(back + rng.uniform(1, 8), partial(start_if_dead, swarm, donor))


def full_disks(swarm: MachineSwarm, rng: random.Random) -> None:
    """Disks fill up: peers go on, save in vain, die, and come back from the older state that is still there."""
    for _ in range(rng.randint(1, 3)):
        number, at = rng.randrange(len(swarm.members)), rng.uniform(5, 15)
        swarm.after(at, partial(swarm.save, number))
        swarm.after(at + 0.1, partial(setattr, swarm.members[number], "disk_full", True))
        dies = at + rng.uniform(5, 20)
        swarm.after(dies - 0.1, partial(swarm.save, number))
        swarm.after(dies, partial(swarm.crash, number))
        swarm.after(dies + rng.uniform(0.3, 8), partial(start_if_dead, swarm, number))


def clock_jumps(swarm: MachineSwarm, rng: random.Random) -> None:
    """Clocks jump ahead by up to an hour: every deadline that was waited for is over at once."""
    for _ in range(rng.randint(1, 4)):
        number = rng.randrange(len(swarm.members))
        swarm.after(rng.uniform(2, 35), partial(swarm.suspend, number, rng.choice([5.0, 60.0, 3600.0])))


MORE_PLANS: dict[str, Plan] = {plan.__name__: plan for plan in (full_disks, clock_jumps)}
"""Drawn apart from the others, so that older seeds stay the lives that they were but for these."""

PLANS: dict[str, Plan] = {
    plan.__name__: plan
    for plan in (crashes, pauses, partitions, deaf_links, dying_sealers, everybody_restarts, late_joins)
}


def draw_size(rng: random.Random) -> int:
    """Mostly small swarms: their schedules are as rich, and a hundred times as cheap as those of 64."""
    dice = rng.random()
    return rng.randint(2, 8) if dice < 0.97 else rng.randint(9, 16) if dice < 0.998 else rng.randint(17, 64)


def draw_rules(rng: random.Random) -> RoundRules:
    """Rules by which a handful of peers is a large swarm: groups of two to four, or a drawn committee of them."""
    group_peers = rng.randint(2, 4)
    grouped_peers = rng.choice([1000, 1000, 6])
    return RoundRules(
        flat_peers=rng.choice([1, 2, 3, 5]), group_peers=group_peers, grouped_peers=grouped_peers,
        committee_peers=rng.randint(4, 6), max_electors=rng.choice([3, 5, 64]),
    )  # fmt: skip


def torment(seed: int, *, groups: bool = False, merge: str = BY_MAJORITY) -> tuple[MachineSwarm, list[str], Calm]:
    """Run one seeded life; return the swarm after the calm, what it went through, and how it came to rest.

    groups: of a large swarm, by rules under which four to twelve peers are one. merge: how chains that grew apart are
    judged.
    """
    rng = random.Random(f"nemesis {seed}")
    faults = Faults(
        loss=rng.choice([0.0, 0.0, 0.05, 0.15, 0.3]),
        latency_s=rng.choice([0.005, 0.02, 0.1, 0.4, 1.0]),
        duplicate=rng.choice([0.0, 0.0, 0.2]),
        corrupt=rng.choice([0.0, 0.0, 0.0, 0.1]),
    )
    size, rules = (rng.randint(4, 12), draw_rules(rng)) if groups else (draw_size(rng), RoundRules())
    swarm = MachineSwarm(size, seed=seed, faults=faults, rules=replace(rules, merge=merge))
    swarm.watch.settle_s = swarm.watch.heal_s = 20.0
    names = rng.sample(sorted(PLANS), rng.randint(1, 3))
    for name in names:
        PLANS[name](swarm, rng)
    more = random.Random(f"more {seed}")
    if more.random() < 0.5:
        names.append(more.choice(sorted(MORE_PLANS)))
        MORE_PLANS[names[-1]](swarm, more)
    told = [f"{len(swarm.members)} peers", f"loss {faults.loss}", f"latency {faults.latency_s} s"]
    told += [f"duplicates {faults.duplicate}", f"corrupt {faults.corrupt}", *names]
    swarm.run(CHAOS_S)
    stop_faults(swarm)
    return swarm, told, live_through_calm(swarm)


def stop_faults(swarm: MachineSwarm) -> None:
    swarm.faults.loss = swarm.faults.corrupt = 0.0
    swarm.faults.deaf = nothing_blocked
    swarm.faults.latency_s = min(swarm.faults.latency_s, 0.1)
    swarm.rewire(nothing_blocked)
    for member in swarm.members:
        member.disk_full = False
        start_if_dead(swarm, member.number)


def start_if_dead(swarm: MachineSwarm, number: int) -> None:
    if not swarm.members[number].alive:
        swarm.start(number)


def _apart(sides: tuple[int, ...], a: int, b: int) -> bool:
    return sides[a] != sides[b]
