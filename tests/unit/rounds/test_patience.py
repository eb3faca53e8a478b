"""A machine with a rival in its window asks to be woken for it only while its own vote holds it back from the rival."""

from dataclasses import replace

import pytest

from peer.network.identity import Identity
from peer.rounds.following import RIVALS_LOOK_S
from peer.types import Digest
from peer.wire.messages import RosterEntry
from tests.unit.services.chains import LoneChain

OTHERS = [Identity.for_tests(2).peer_id, Identity.for_tests(3).peer_id]


@pytest.fixture
def voter() -> LoneChain:
    """Return a peer that has voted for its tip, one of three electors; the others are silent."""
    start = LoneChain()
    start.seal()
    roster = (*start.machine.tip.roster, *(RosterEntry(peer, 0, 50, 1) for peer in OTHERS))
    root = replace(start.machine.tip, roster=tuple(sorted(roster, key=lambda member: member.peer)), standing=None)
    chain = LoneChain(root)
    chain.machine.reachable(frozenset(OTHERS), 0.0)
    chain.seal()
    return chain


def woken_for_a_rival(chain: LoneChain, *, score: int) -> bool:
    """Return whether the machine wants to look again soon once it knows a rival of its tip."""
    machine = chain.machine
    rival = replace(machine.tip, digest=Digest(b"r" * 32), score=score, headers=(), state=None, standing=None)
    machine._ledger.chain.add(rival)
    machine.tick(chain.now)
    return machine._look_at == chain.now + RIVALS_LOOK_S


def test_a_better_rival_that_the_own_vote_stands_against_is_looked_at_again(voter: LoneChain) -> None:
    assert woken_for_a_rival(voter, score=voter.machine.tip.score + 1)


def test_a_worse_rival_wakes_nobody(voter: LoneChain) -> None:
    assert not woken_for_a_rival(voter, score=voter.machine.tip.score - 1)


def test_successors_one_after_the_other_hold_a_seal_up_for_two_grace_periods_at_most(voter: LoneChain) -> None:
    machine, grace_s = voter.machine, voter.machine._ledger.parts.rules.grace_s
    machine.reachable(frozenset(), voter.now)  # a successor that leaves out nobody
    ends = []
    for number in range(8):
        digest = Digest(bytes([number]) * 32)
        rival = replace(machine.tip, digest=digest, parent=machine.tip.digest, headers=(), state=None, standing=None)
        machine._ledger.chain.add(rival)
        ends.append(machine._round._patience_for_successors(number * 0.5 * grace_s))
    assert ends[:2] == [grace_s, 1.5 * grace_s]
    assert ends[2:] == 6 * [2 * grace_s]
