"""Who stands behind which of two chains that know no common ancestor (docs/adr/0079)."""

import msgspec
import pytest

from peer.network.identity import Identity
from peer.rounds.backers import Backers
from peer.rounds.company import Company, Told
from peer.rounds.entry import Entry
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed, seal
from peer.wire.messages import Ack, DeltaHeader
from peer.wire.sync import SnapshotOffer, SyncResponse, Tip
from tests.swarm.machine_swarm import RUN, MachineSwarm

ELSEWHERE = Digest(b"x" * 32)
SINCE = 2**50
"""A sequence above that of any work that these swarms do."""


@pytest.fixture
def swarm() -> MachineSwarm:
    swarm = MachineSwarm(4, seed=1)
    swarm.run(25.0)
    for told in list(company(swarm).told):
        del company(swarm).told[told]
    return swarm


def company(swarm: MachineSwarm) -> Company:
    return swarm.members[0].machine._company


def backers(swarm: MachineSwarm) -> Backers:
    found = swarm.members[0].machine._snapshots._backers
    assert found is not None, "the majority decides by default"
    return found


def peers(swarm: MachineSwarm) -> list[PeerId]:
    return [member.identity.peer_id for member in swarm.members]


def offer(swarm: MachineSwarm, *, rounds_ahead: int) -> Tip:
    tip = swarm.members[0].machine.tip
    return Tip(ELSEWHERE, tip.round + rounds_ahead, tip.score + 100)


def test_who_voted_here_stands_here_and_nobody_behind_a_state_that_none_has_voted_for(swarm: MachineSwarm) -> None:
    theirs, ours = backers(swarm).sides(offer(swarm, rounds_ahead=3))
    assert theirs.backers == frozenset()
    assert ours.backers == frozenset(peers(swarm))


def test_who_votes_for_both_stands_where_the_later_round_is(swarm: MachineSwarm) -> None:
    voter = peers(swarm)[3]
    backers(swarm)._of_offers[ELSEWHERE] = {voter}
    newer, _ = backers(swarm).sides(offer(swarm, rounds_ahead=3))
    older, ours = backers(swarm).sides(offer(swarm, rounds_ahead=-3))
    assert newer.backers == {voter}
    assert older.backers == frozenset()
    assert voter in ours.backers


def test_who_says_after_its_vote_that_it_is_here_stands_here(swarm: MachineSwarm) -> None:
    voter, offered, tip = peers(swarm)[3], offer(swarm, rounds_ahead=3), swarm.members[0].machine.tip
    backers(swarm)._of_offers[ELSEWHERE] = {voter}
    company(swarm).heard(voter, Told(tip=Tip(tip.digest, tip.round, tip.score), voted=offered.round))
    theirs, ours = backers(swarm).sides(offered)
    assert theirs.backers == frozenset()
    assert voter in ours.backers


def test_who_has_voted_there_since_it_said_that_it_is_here_stands_there(swarm: MachineSwarm) -> None:
    voter, offered, tip = peers(swarm)[3], offer(swarm, rounds_ahead=3), swarm.members[0].machine.tip
    backers(swarm)._of_offers[ELSEWHERE] = {voter}
    company(swarm).heard(voter, Told(tip=Tip(tip.digest, tip.round, tip.score), voted=offered.round - 1))
    theirs, ours = backers(swarm).sides(offered)
    assert theirs.backers == {voter}
    assert voter not in ours.backers


def test_votes_for_anything_else_that_come_with_an_offer_are_not_for_it(swarm: MachineSwarm) -> None:
    offered = offer(swarm, rounds_ahead=3)
    other = Tip(Digest(b"y" * 32), offered.round, offered.score)
    backers(swarm).note(msgspec.structs.replace(offered_with_votes(offered, range(2, 3)), messages=(
        *offered_with_votes(other, range(3, 5)).messages, *offered_with_votes(offered, range(2, 3)).messages,
    )))  # fmt: skip
    assert backers(swarm)._of_offers[ELSEWHERE] == {peers(swarm)[1]}


def test_who_says_that_the_offered_state_is_its_tip_stands_behind_it_without_a_vote(swarm: MachineSwarm) -> None:
    member, stranger, offered = peers(swarm)[3], PeerId("a stranger"), offer(swarm, rounds_ahead=3)
    company(swarm).meet(company(swarm).alive | {stranger}, swarm.now)
    for teller in (member, stranger):
        company(swarm).heard(teller, Told(tip=offered, voted=0, apart=True))
    theirs, ours = backers(swarm).sides(offered)
    assert theirs.backers == {member, stranger}
    assert member not in ours.backers
    assert stranger in ours.others, "who is on another chain counts among all"


def test_a_round_that_a_made_up_state_claims_takes_nobodys_word_away(swarm: MachineSwarm) -> None:
    """Who came over by a snapshot cannot vote yet, and has said where it is."""
    member, tip = peers(swarm)[3], swarm.members[0].machine.tip
    swarm.members[0].machine._ledger.discard_votes(member)
    company(swarm).heard(member, Told(tip=Tip(tip.digest, tip.round, tip.score), voted=tip.round))
    _, ours = backers(swarm).sides(offer(swarm, rounds_ahead=1000))
    assert member in ours.backers


def trains_on(swarm: MachineSwarm, number: int, base: Digest, *, sequence: int = SINCE) -> None:
    """Let the first member hear of work that another one announces for the round after `base`."""
    swarm.members[0].machine._ledger.pool.add(header_on(base, Identity.for_tests(number + 1), sequence))


def header_on(base: Digest, author: Identity, sequence: int) -> Signed[DeltaHeader]:
    message = DeltaHeader(
        round=99, base=base, sequence=sequence, payload=bytes(32), payload_bytes=1, codec="float32", env_steps=1,
        weight=1, steps_per_s=1, l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None, tasks=(),
    )  # fmt: skip
    return seal(message, author, run=RUN)


def says_it_is_here(swarm: MachineSwarm, peer: PeerId, *, announced: int) -> None:
    tip = swarm.members[0].machine.tip
    swarm.members[0].machine._ledger.discard_votes(peer)
    word = Told(tip=Tip(tip.digest, tip.round, tip.score), voted=tip.round, announced=announced)
    company(swarm).heard(peer, word)


@pytest.mark.parametrize(("sequence", "is_here"), [(SINCE, False), (SINCE - 1, True)])
def test_who_has_announced_work_elsewhere_since_its_word_is_not_here(
    swarm: MachineSwarm, sequence: int, *, is_here: bool
) -> None:
    member = peers(swarm)[3]
    says_it_is_here(swarm, member, announced=SINCE - 1)
    trains_on(swarm, 3, Digest(b"z" * 32), sequence=sequence)
    theirs, ours = backers(swarm).sides(offer(swarm, rounds_ahead=3))
    assert (member in ours.backers) is is_here
    assert theirs.backers == frozenset()


def test_who_announces_work_on_the_offered_state_stands_behind_it(swarm: MachineSwarm) -> None:
    member, stranger = peers(swarm)[3], Identity.for_tests(9)
    company(swarm).meet(company(swarm).alive | {stranger.peer_id}, swarm.now)
    for number in (3, 8):
        trains_on(swarm, number, ELSEWHERE)
    theirs, ours = backers(swarm).sides(offer(swarm, rounds_ahead=3))
    assert theirs.backers == {member, stranger.peer_id}
    assert member not in ours.backers


def test_who_cannot_be_reached_does_not_stand_behind_a_state_for_the_work_it_announced(swarm: MachineSwarm) -> None:
    trains_on(swarm, 8, ELSEWHERE)
    theirs, _ = backers(swarm).sides(offer(swarm, rounds_ahead=3))
    assert theirs.backers == frozenset()


def test_what_a_peer_says_is_newer_than_the_work_that_was_known_then(swarm: MachineSwarm) -> None:
    machine, member = swarm.members[0].machine, peers(swarm)[3]
    trains_on(swarm, 3, ELSEWHERE)
    tip = machine.tip
    machine._follower.heard(member, Tip(tip.digest, tip.round, tip.score), is_apart=False)
    assert company(swarm).told[member].announced == SINCE
    theirs, _ = backers(swarm).sides(offer(swarm, rounds_ahead=3))
    assert theirs.backers == frozenset()


def test_the_tip_is_offered_where_more_are_there_than_voted_for_anything(swarm: MachineSwarm) -> None:
    ledger, tip = swarm.members[0].machine._ledger, swarm.members[0].machine.tip
    for member in peers(swarm)[:2]:
        ledger.discard_votes(member)
    assert len(tip.admitted) == 4, "their work tells that they are here"
    assert backers(swarm).newest_backed() is tip


def voted_last(swarm: MachineSwarm, *, silent: PeerId) -> Entry:
    """Let nobody have voted since the fourth entry from the tip, nor ever the one that is `silent`; return that."""
    machine = swarm.members[0].machine
    votes, voted = machine._ledger.votes, machine.line()[-4]
    machine._ledger.discard_votes(silent)
    for number in range(voted.round + 1, machine.tip.round + 1):
        for voter in list(votes.of(number)):
            votes._remove(number, voter)
    return voted


def test_votes_of_those_who_are_on_another_chain_by_now_do_not_choose_what_is_offered(swarm: MachineSwarm) -> None:
    machine, outsider = swarm.members[0].machine, Identity.for_tests(9)
    voted = voted_last(swarm, silent=peers(swarm)[1])
    vote = Ack(voted.round, voted.parent, voted.digest, voted.model, voted.round - 1)
    machine._ledger.votes.add(seal(vote, outsider, run=RUN))
    company(swarm).meet(company(swarm).alive | {outsider.peer_id}, swarm.now)
    assert backers(swarm).newest_backed() is voted, "as many voted for it as are at the tip"
    company(swarm).heard(outsider.peer_id, Told(tip=offer(swarm, rounds_ahead=3), voted=0, apart=True))
    assert backers(swarm).newest_backed() is machine.tip


def test_whose_work_the_tip_admitted_is_not_there_once_it_is_on_another_chain(swarm: MachineSwarm) -> None:
    member = peers(swarm)[1]
    voted = voted_last(swarm, silent=member)
    assert backers(swarm).newest_backed() is swarm.members[0].machine.tip
    company(swarm).heard(member, Told(tip=offer(swarm, rounds_ahead=3), voted=0, apart=True))
    assert backers(swarm).newest_backed() is voted


def offered_with_votes(offered: Tip, voters: range) -> SyncResponse:
    vote = Ack(offered.round, bytes(32), offered.digest, bytes(32), offered.round - 1)
    votes = tuple(seal(vote, Identity.for_tests(number), run=RUN).data for number in voters)
    return SyncResponse(tip=offered, messages=votes, snapshot=SnapshotOffer(offered, bytes(32), 4096))


def test_votes_of_keys_without_end_are_not_remembered_without_end(swarm: MachineSwarm) -> None:
    offered = offer(swarm, rounds_ahead=3)
    backers(swarm).note(offered_with_votes(offered, range(100, 300)))
    backers(swarm).note(offered_with_votes(offered, range(300, 500)))
    assert len(backers(swarm)._of_offers[Digest(offered.digest)]) == 256


def test_votes_of_keys_that_nobody_has_met_count_for_nothing(swarm: MachineSwarm) -> None:
    offered, met = offer(swarm, rounds_ahead=3), Identity.for_tests(100).peer_id
    company(swarm).meet(company(swarm).alive | {met}, swarm.now)
    backers(swarm).note(offered_with_votes(offered, range(100, 140)))
    theirs, _ = backers(swarm).sides(offered)
    assert theirs.backers == {met}


def test_a_vote_of_a_member_that_cannot_be_reached_counts(swarm: MachineSwarm) -> None:
    offered, member = offer(swarm, rounds_ahead=3), peers(swarm)[1]
    company(swarm).meet(company(swarm).alive - {member}, swarm.now)
    backers(swarm).note(offered_with_votes(offered, range(2, 3)))
    theirs, _ = backers(swarm).sides(offered)
    assert theirs.backers == {member}


def test_votes_of_keys_that_nobody_allowed_take_no_room(swarm: MachineSwarm) -> None:
    offered = offer(swarm, rounds_ahead=3)
    swarm.members[0].machine.allow(frozenset(peers(swarm)), swarm.now)
    backers(swarm).note(offered_with_votes(offered, range(100, 400)))
    backers(swarm).note(offered_with_votes(offered, range(2, 3)))
    theirs, _ = backers(swarm).sides(offered)
    assert theirs.backers == {peers(swarm)[1]}
