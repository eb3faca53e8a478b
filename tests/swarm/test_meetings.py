"""Peers that have made rounds final without each other meet: what they hold as final then (docs/adr/0054).

Each asks each other once, and nothing else happens: merging takes longer, what is claimed must be right before.
"""

import itertools

import pytest

from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.swarm_member import Member, nothing_blocked


def apart(_a: int, _b: int) -> bool:
    return True


def differing(swarm: MachineSwarm) -> set[int]:
    """Return the rounds that two live peers hold as final, with different models."""
    pairs = [(a.final, b.final) for a, b in itertools.combinations(swarm.alive, 2)]
    return {
        round_number for a, b in pairs for round_number in a.keys() & b.keys() if a[round_number] != b[round_number]
    }


def ask(swarm: MachineSwarm, asker: Member, asked: Member) -> None:
    response = asked.machine.answer_sync(asker.machine.sync_request())
    effects = asker.machine.receive_sync(response, source=asked.identity.peer_id, now=swarm.clock(asker))
    swarm._carry_out(asker, effects)


def meet(swarm: MachineSwarm) -> None:
    swarm.rewire(nothing_blocked)
    for asker, asked in itertools.permutations(swarm.alive, 2):
        ask(swarm, asker, asked)


@pytest.mark.parametrize("late_s", [0.0, 8.0, 20.0, 60.0])
def test_two_that_started_alone_hold_nothing_different_as_final_once_they_have_met(late_s: float) -> None:
    """Short chains fork in the window, before any roster; long ones share nothing that is kept."""
    swarm = MachineSwarm(2, seed=1, late=1)
    swarm.faults.blocked = apart
    swarm.run(late_s)
    swarm.start(1)
    swarm.run(9.0)
    assert differing(swarm)
    meet(swarm)
    assert not differing(swarm)


@pytest.mark.parametrize("apart_s", [9.0, 40.0])
def test_two_sides_of_a_partition_hold_nothing_different_as_final_once_they_have_met(apart_s: float) -> None:
    swarm = MachineSwarm(2, seed=1)
    swarm.run(10.0)
    swarm.rewire(apart)
    swarm.run(apart_s)
    assert differing(swarm)
    meet(swarm)
    assert not differing(swarm)


def test_electors_that_died_after_they_decided_are_not_left_out_when_rivals_meet() -> None:
    """Two of five went on alone; of the three, who decided otherwise, two have died since. Among the living, two of
    three would be a majority."""
    swarm = MachineSwarm(5, seed=1)
    swarm.run(10.0)
    swarm.rewire(lambda a, b: (a < 2) != (b < 2))
    swarm.run(9.0)
    swarm.crash(3)
    swarm.crash(4)
    meet(swarm)
    assert not differing(swarm)


def test_an_elector_that_went_unheard_decides_again_once_it_can_be_reached() -> None:
    """It is on no rival yet. But without it a peer took rounds for final that it may outvote before it is heard of."""
    swarm = MachineSwarm(2, seed=1)
    swarm.run(10.0)
    swarm.save(1)
    swarm.crash(1)
    agreed = swarm.members[0].machine.final_round
    swarm.run(9.0)
    alone = swarm.members[0].machine.final_round
    assert alone > agreed + 2
    swarm.start(1)
    meet(swarm)
    assert agreed <= swarm.members[0].machine.final_round < alone
    swarm.run(10.0)
    assert swarm.members[0].machine.final_round > alone
    assert swarm.conflicts == []


def test_an_elector_that_comes_back_withdraws_nothing_that_most_decided() -> None:
    swarm = MachineSwarm(4, seed=1)
    swarm.run(10.0)
    swarm.save(3)
    swarm.crash(3)
    swarm.run(9.0)
    held = [dict(member.final) for member in swarm.members[:3]]
    swarm.start(3)
    meet(swarm)
    assert [member.final for member in swarm.members[:3]] == held


def test_a_swarm_claims_on_when_it_meets_one_that_is_plainly_behind() -> None:
    swarm = MachineSwarm(2, seed=1, late=1)
    swarm.faults.blocked = apart
    swarm.run(60.0)
    swarm.start(1)
    swarm.run(9.0)
    held = dict(swarm.members[0].final)
    meet(swarm)
    assert swarm.members[0].final == held


def test_what_was_withdrawn_is_final_again_when_the_two_are_one() -> None:
    swarm = MachineSwarm(2, seed=1)
    swarm.run(10.0)
    swarm.rewire(apart)
    swarm.run(9.0)
    meet(swarm)
    withdrawn = [member.machine.final_round for member in swarm.members]
    swarm.run(10.0)
    for before, member in zip(withdrawn, swarm.members, strict=True):
        assert member.machine.final_round > before + 2
    assert swarm.conflicts == []
