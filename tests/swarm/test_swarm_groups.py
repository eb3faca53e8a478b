"""Large swarms in small: groups of a few peers, through whatever a flat swarm goes through (docs/adr/0035)."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from peer.network.identity import Identity
from peer.rounds.entry import Entry
from peer.rounds.machine import Aggregate, RoundMachine
from peer.rounds.merging import BY_MAJORITY, BY_SCORE
from peer.rounds.rules import RoundRules
from peer.rounds.voting import Voter
from peer.types import Contribution, Digest, ModelState
from tests.swarm.judgement import assert_bounded, assert_caught_up, assert_each_piece_once, assert_nobody_blamed
from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.torture import describe, judge

RULES = RoundRules(flat_peers=3, group_peers=3)
COMMITTEE = RoundRules(flat_peers=3, group_peers=2, grouped_peers=8, committee_peers=4, max_electors=5)
QUICK = (5, 7, 8, 10, 13, 37, 64, 77, 186, 216, 227, 101648, 402937)
"""8, 37: two chains of one past that both became final (adr/0048). 64: an earlier life's seal whose payload is lost.
77: a peer that came from a longer chain, taken for being there still. 216: a round that too few of its electors had.
186, 227: sides of a partition that claimed on after they had met (adr/0054); those of 186 changed places (adr/0055).
101648, 402937: peers that each went to the other's branch, or back to their own past (adr/0069)."""


@pytest.mark.parametrize("merge", [BY_MAJORITY, BY_SCORE])
@pytest.mark.parametrize("seed", QUICK)
def test_a_tormented_swarm_of_groups_ends_in_agreement(seed: int, merge: str) -> None:
    verdict = judge(seed, groups=True, merge=merge)
    assert not verdict.failure, describe(verdict)


def test_everybodys_work_counts_in_every_round() -> None:
    swarm = MachineSwarm(12, seed=2, rules=RULES)
    swarm.run(40.0)
    assert_caught_up(swarm)
    assert_each_piece_once(swarm)
    assert_nobody_blamed(swarm)
    assert_bounded(swarm)
    line = swarm.chain(swarm.members[0].machine.tip)
    assert all(len(entry.admitted) == 12 for entry in line[3:])
    assert all(len(entry.groups) == 4 for entry in line[3:])


def test_a_committee_is_drawn_from_a_very_large_roster_and_nobody_drops_off_it() -> None:
    swarm = MachineSwarm(12, seed=2, rules=COMMITTEE)
    swarm.run(60.0)
    assert_caught_up(swarm)
    assert_each_piece_once(swarm)
    assert_nobody_blamed(swarm)
    line = swarm.chain(swarm.members[0].machine.tip)
    assert [len(entry.roster) for entry in line[-8:]] == [12] * 8
    assert [len(entry.admitted) for entry in line[-8:]] == [4] * 8
    assert len({peer for entry in line[-16:] for peer in entry.admitted}) == 12, "each has its turn"


def test_a_round_whose_electors_missed_it_is_final_soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """They vote on, although other electors are drawn for the rounds that follow."""
    swarm = MachineSwarm(12, seed=2, rules=COMMITTEE)
    swarm.run(20.0)
    with monkeypatch.context() as patch:
        patch.setattr(Voter, "vote", lambda *_arguments, **_options: [])
        swarm.run(5.0)
        assert {member.machine.tip.round - member.machine.final_round for member in swarm.members} == {2}
    swarm.run(4.0)
    assert all(member.machine.tip.round - member.machine.final_round <= 1 for member in swarm.members)


def test_a_group_whose_sealer_dies_is_sealed_by_its_backup() -> None:
    swarm = MachineSwarm(9, seed=5, rules=RULES)
    swarm.run(14.0)
    tip = swarm.members[0].machine.tip
    grouping = tip.grouping
    assert grouping is not None
    victim = grouping.groups[1][0]
    swarm.crash(swarm.by_id[victim].number)
    swarm.run(10.0)
    after = next(entry for entry in swarm.chain(swarm.alive[0].machine.tip) if entry.parent == tip.digest)
    assert [signed.message.group for signed in after.groups] == [0, 1, 2]
    assert after.groups[1].peer == grouping.groups[1][1]


def test_a_joiner_takes_over_a_state_with_its_roster() -> None:
    swarm = MachineSwarm(9, seed=6, rules=RULES, late=1)
    swarm.run(40.0)
    swarm.start(8)
    swarm.run(20.0)
    assert_caught_up(swarm)
    assert_nobody_blamed(swarm)
    joiner = swarm.members[8]
    assert joiner.abandoned, "by a snapshot"
    assert joiner.identity.peer_id in joiner.machine.tip.members


def test_a_joiner_goes_on_when_the_whole_roster_has_died() -> None:
    """It is on no roster yet, so nobody is left whose turn it would be to seal a group."""
    swarm = MachineSwarm(9, seed=6, rules=RULES, late=1)
    swarm.run(40.0)
    swarm.start(8)
    swarm.run(1.0)
    joiner = swarm.members[8]
    assert joiner.abandoned, "it has the state of the others"
    assert joiner.identity.peer_id not in joiner.machine.tip.members
    for number in range(8):
        swarm.crash(number)
    before = joiner.machine.tip.round
    swarm.run(60.0)
    assert joiner.machine.tip.round > before + 10
    assert joiner.machine.final_round > before + 10
    assert_each_piece_once(swarm)


def test_a_stranger_leaves_a_group_to_its_members_while_they_seal_it() -> None:
    swarm = MachineSwarm(9, seed=6, rules=RULES, late=1)
    swarm.run(20.0)
    swarm.start(8)
    swarm.run(30.0)
    line = swarm.chain(swarm.members[0].machine.tip)
    for parent, entry in itertools.pairwise(line):
        assert {seal.peer for seal in entry.groups} <= parent.members


class Exaggerating:
    """Implements `Aggregate`: says of its group ten times what its members learned."""

    def __init__(self, honest: Aggregate) -> None:
        self._honest = honest

    def __call__(self, base: ModelState, contributions: Sequence[Contribution], previous: Digest) -> ModelState:
        return self._honest(base, contributions, previous)

    def group(self, contributions: Sequence[Contribution], previous: Digest) -> Contribution:
        true = self._honest.group(contributions, previous)
        return replace(true, delta=replace(true.delta, params=np.float32(10.0) * true.delta.params))

    def of_groups(self, base: ModelState, groups: Sequence[Contribution], previous: Digest) -> ModelState:
        return self._honest.of_groups(base, groups, previous)


class LyingSealer(MachineSwarm):
    """Peer 0 lies about its group whenever it seals it."""

    def _machine(self, identity: Identity, root: Entry, sequence: int, *, now: float) -> RoundMachine:
        machine = super()._machine(identity, root, sequence, now=now)
        if identity.peer_id != Identity.for_tests(1).peer_id:
            return machine
        parts = machine._ledger.parts
        lying = replace(parts, aggregate=Exaggerating(parts.aggregate))
        return RoundMachine(lying, root=root, sequence=sequence, now=now)


def test_who_lies_about_its_group_is_found_out_by_it_and_splits_nobody_from_the_rest() -> None:
    swarm = LyingSealer(9, seed=3, rules=RULES)
    swarm.run(60.0)
    liar, honest = swarm.members[0], swarm.members[1:]
    assert swarm.agreed_round() >= max(member.machine.tip.round for member in honest) - 2
    assert swarm.conflicts == []
    assert_each_piece_once(swarm)
    accused = {refused.peer for member in honest for refused in member.refused}
    assert accused == {liar.identity.peer_id}
    assert {refused.reason for member in honest for refused in member.refused} == {"false_group"}
    assert not any(member.differs for member in honest)
