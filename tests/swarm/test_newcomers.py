"""When a seal waits until a newcomer has told its tip, and when not: mute ones must not cost rounds (docs/adr/0060)."""

from peer.network.identity import Identity
from peer.rounds.entry import Entry
from peer.rounds.rules import RoundRules
from tests.swarm.machine_swarm import MachineSwarm
from tests.unit.services.chains import LoneChain, work

RULES = RoundRules()
SWARM, MUTE = 3, 2
VISIT_S = 1.0


def swarm_of_three(*, aged_s: float) -> MachineSwarm:
    swarm = MachineSwarm(SWARM + MUTE, seed=1, late=MUTE)
    swarm.run(aged_s)
    return swarm


def meet_mute_newcomers(swarm: MachineSwarm, *, met_by: int, for_s: float) -> list[Entry]:
    """Have the first `met_by` members meet one mute peer after the other; return what the swarm seals meanwhile."""
    mute = [member.identity.peer_id for member in swarm.members[SWARM:]]
    before = swarm.members[0].machine.tip.round
    for visit in range(round(for_s / VISIT_S)):
        for member in swarm.alive:
            seen = {other.identity.peer_id for other in swarm.alive if other is not member}
            if member.number < met_by:
                seen.add(mute[visit % MUTE])
            swarm._carry_out(member, member.machine.reachable(frozenset(seen), swarm.clock(member)))
        swarm.run(VISIT_S)
    return [entry for entry in swarm.members[0].machine.line() if entry.round > before]


def test_mute_newcomers_hold_up_no_seal_of_a_swarm() -> None:
    sealed = meet_mute_newcomers(swarm_of_three(aged_s=30.0), met_by=SWARM, for_s=10.0)
    assert len(sealed) >= 4, "rounds of 2 s"


def test_mute_newcomers_delay_no_finality_of_a_swarm() -> None:
    swarm = swarm_of_three(aged_s=30.0)
    meet_mute_newcomers(swarm, met_by=SWARM, for_s=10.0)
    assert all(member.machine.final_round >= member.machine.tip.round - 1 for member in swarm.alive)


def test_whoever_meets_mute_newcomers_keeps_its_turn_to_seal() -> None:
    swarm = swarm_of_three(aged_s=30.0)
    sealed = meet_mute_newcomers(swarm, met_by=1, for_s=30.0)
    assert swarm.members[0].identity.peer_id in {entry.sealer for entry in sealed}
    assert {entry.view for entry in sealed} == {0}, "backups step in where the first in line waits"


def test_a_swarm_that_forms_hears_first_whom_it_meets() -> None:
    swarm = swarm_of_three(aged_s=6.0)
    assert 1 <= swarm.members[0].machine.tip.round < RULES.history
    assert meet_mute_newcomers(swarm, met_by=SWARM, for_s=6.0) == []


def test_a_lone_peer_of_any_age_hears_first_whom_it_meets() -> None:
    lone = LoneChain(rules=RULES)
    for _ in range(2 * RULES.history):
        lone.seal()
    machine, met_at = lone.machine, lone.now
    before = machine.tip.round
    machine.reachable(frozenset({Identity.for_tests(2).peer_id}), met_at)
    machine.announce(work(machine.tip), met_at)
    machine.tick(met_at + RULES.grace_s - 0.1)
    assert machine.tip.round == before
    machine.tick(met_at + RULES.grace_s)
    assert machine.tip.round == before + 1, "but not for ever"
