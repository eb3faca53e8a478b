"""A peer that missed votes gets them in an exchange, also of rounds that both have behind them."""

import msgspec

from peer.rounds.rules import RoundRules
from peer.wire.envelope import open_envelope
from peer.wire.messages import Ack
from tests.swarm.machine_swarm import RUN, MachineSwarm

FEW_ELECTORS = RoundRules(flat_peers=3, group_peers=3, max_electors=3)


def test_votes_for_the_first_round_that_is_not_final_where_it_is_asked_are_handed_over() -> None:
    """Tips are equal; without these votes no round would be final there before the window has moved on."""
    swarm = MachineSwarm(4, seed=3)
    swarm.run(20.0)
    one, other = swarm.members[0].machine, swarm.members[1].machine
    assert one.tip.digest == other.tip.digest
    stuck_at = one.tip.round - 3
    asked = msgspec.structs.replace(one.sync_request(), acks=(), final=stuck_at)

    signed = [open_envelope(data, run=RUN) for data in other.answer_sync(asked).messages]
    votes = {each.peer for each in signed if isinstance(each.message, Ack) and each.message.round == stuck_at + 1}
    assert votes == {member.identity.peer_id for member in swarm.members}


def test_a_request_lists_the_votes_that_are_held_those_for_rounds_that_are_not_final_first() -> None:
    swarm = MachineSwarm(4, seed=3)
    swarm.run(20.0)
    machine = swarm.members[0].machine
    asked = machine.sync_request()
    assert asked.final == machine.final_round > 0
    votes = machine._ledger.votes
    later = [number for number in votes.rounds() if number > asked.final]
    pending = {vote.digest for vote in votes.held(later)}
    assert set(asked.acks[: len(pending)]) == pending
    assert set(asked.acks) == {vote.digest for vote in votes.held(votes.rounds())}


def test_an_answer_repeats_no_vote_that_the_request_lists() -> None:
    swarm = MachineSwarm(4, seed=3)
    swarm.run(20.0)
    one, other = swarm.members[0].machine, swarm.members[1].machine
    assert one.tip.digest == other.tip.digest
    assert one.final_round == one.tip.round, "all votes of the newest round are here"
    asked = one.sync_request()
    signed = [open_envelope(data, run=RUN) for data in other.answer_sync(asked).messages]
    assert [each for each in signed if isinstance(each.message, Ack)] == []


def test_a_root_that_is_not_final_gets_the_votes_on_what_builds_on_it() -> None:
    """In a large swarm other peers vote in each round, so no later votes can stand in for those."""
    swarm = MachineSwarm(12, seed=3, rules=FEW_ELECTORS, late=1)
    swarm.run(20.0)
    swarm.start(11)
    swarm.run(8.0)
    one, other = swarm.members[11].machine, swarm.members[0].machine
    root = one._ledger.chain.root
    assert one.tip.digest == other.tip.digest
    assert 0 < root.round < one.tip.round - 1
    one._ledger.votes.forget(before_round=one.tip.round)
    one._finality.restarted()
    assert one.final_round < root.round

    asked = one.sync_request()
    one.receive_sync(other.answer_sync(asked), source=swarm.members[0].identity.peer_id, now=swarm.now)
    assert one.final_round > root.round
