"""Who is known to be on another line, and what that holds back: finality of an old root, and votes after a snapshot."""

from dataclasses import replace

import msgspec
import pytest

from peer.network.identity import Identity
from peer.rounds.company import Told
from peer.rounds.effects import Effect, Finalised
from peer.rounds.entry import Entry
from peer.rounds.strays import left_behind, strays
from peer.types import Digest, PeerId
from peer.wire.envelope import seal
from peer.wire.messages import Ack, DepartedEntry
from peer.wire.sync import SyncRequest, SyncResponse, Tip
from tests.unit.services.chains import RUN, LoneChain

OTHER = Identity.for_tests(2)
ELSEWHERE = Digest(b"e" * 32)


def three_rounds() -> LoneChain:
    chain = LoneChain()
    for _ in range(3):
        chain.seal()
    return chain


def vote(chain: LoneChain, round_number: int, manifest: bytes) -> None:
    entry = chain.machine._ledger.chain.get(manifest)
    previous = entry.parent if entry else ELSEWHERE
    ack = Ack(round_number, previous, manifest, b"x" * 32, round_number - 1)
    assert chain.machine._ledger.votes.add(seal(ack, OTHER, run=RUN))


def astray(chain: LoneChain, told: dict[PeerId, Told] | None = None) -> frozenset[PeerId]:
    ledger = chain.machine._ledger
    return strays({OTHER.peer_id}, chain=ledger.chain, votes=ledger.votes, told=told or {})


def telling(entry: Entry, *, voted: int = 0) -> dict[PeerId, Told]:
    return {OTHER.peer_id: Told(tip=Tip(entry.digest, entry.round, entry.score), voted=voted)}


def test_a_peer_without_a_sign_is_no_stray() -> None:
    assert astray(three_rounds()) == frozenset()


@pytest.mark.parametrize(("voted", "told", "found"), [(2, 3, []), (3, 3, [OTHER.peer_id]), (3, 2, [OTHER.peer_id])])
def test_the_sign_of_the_later_round_counts_and_of_one_round_the_one_elsewhere(
    voted: int, told: int, found: list[PeerId]
) -> None:
    chain = three_rounds()
    vote(chain, voted, ELSEWHERE)
    assert sorted(astray(chain, telling(chain.machine.line()[told]))) == found


def test_a_peer_that_came_here_from_later_rounds_of_another_line_is_no_stray_once_it_has_said_so() -> None:
    chain = three_rounds()
    vote(chain, 9, ELSEWHERE)
    assert astray(chain, telling(chain.machine.tip)) == {OTHER.peer_id}, "it may have voted since it told its tip"
    assert astray(chain, telling(chain.machine.tip, voted=9)) == frozenset()


def test_a_vote_on_this_line_calls_a_peer_back() -> None:
    chain = three_rounds()
    vote(chain, 2, ELSEWHERE)
    assert astray(chain) == {OTHER.peer_id}
    vote(chain, 3, chain.machine.tip.digest)
    assert astray(chain) == frozenset()


def beside_a_former_member() -> tuple[LoneChain, Entry]:
    """Return a peer that began with a snapshot of a roster which `OTHER` has left, and can reach it."""
    tip = three_rounds().machine.tip
    left = replace(tip, departed=(DepartedEntry(OTHER.peer_id, 1, 1),), standing=None)
    chain = LoneChain(left)
    chain.machine.reachable(frozenset({OTHER.peer_id}), 0.0)
    return chain, left


def finals(effects: list[Effect]) -> list[int]:
    return [effect.entry.round for effect in effects if isinstance(effect, Finalised)]


def test_a_saved_round_is_not_final_until_somebody_votes_for_what_builds_on_it() -> None:
    """It may have been saved in the moment before its peer left it for another."""
    root = three_rounds().machine.tip
    chain = LoneChain(root)
    assert finals(chain.effects) == []
    assert finals(chain.seal()) == [root.round, root.round + 1]


def test_a_root_is_not_final_while_a_former_member_is_elsewhere() -> None:
    chain, root = beside_a_former_member()
    chain.machine._company.heard(OTHER.peer_id, Told(tip=Tip(ELSEWHERE, 9, 9), voted=0))
    assert finals(chain.seal()) == []
    assert chain.machine.final_round == root.round - 1
    tip = chain.machine.tip
    chain.machine._company.heard(OTHER.peer_id, Told(tip=Tip(tip.digest, tip.round, tip.score), voted=0))
    assert finals(chain.machine.tick(chain.now)) == [3, 4]


def test_a_peer_that_left_its_vote_behind_waits_for_those_who_may_count_it() -> None:
    chain, _ = beside_a_former_member()
    history = chain.machine._ledger.parts.rules.history
    chain.seal()
    voter, ledger = chain.machine._follower._voter, chain.machine._ledger
    voted = chain.machine.tip.round
    donor = LoneChain(replace(chain.machine.tip, digest=ELSEWHERE)).machine.tip  # not of this chain
    voter.leave_for(donor)
    chain.machine._company.heard(OTHER.peer_id, Told(tip=Tip(b"f" * 32, 99, 9), voted=0))
    for _ in range(history):
        chain.seal()
        assert ledger.votes.vote_of(ledger.me, chain.machine.tip.round) is None
    chain.seal()
    assert chain.machine.tip.round == voted + history + 1
    assert ledger.votes.vote_of(ledger.me, chain.machine.tip.round) == chain.machine.tip.digest


def test_a_peer_that_left_its_vote_behind_votes_at_once_when_nobody_is_elsewhere() -> None:
    chain, _ = beside_a_former_member()
    chain.seal()
    chain.machine._follower.leave_for(replace(chain.machine.tip, digest=ELSEWHERE))
    chain.seal()
    ledger = chain.machine._ledger
    assert ledger.votes.vote_of(ledger.me, chain.machine.tip.round) == chain.machine.tip.digest


def beside_a_rival() -> tuple[LoneChain, Entry]:
    """Return a peer with a rival of its second round in the tree, on which `OTHER` has said that it is."""
    chain = LoneChain()
    chain.machine.reachable(frozenset({OTHER.peer_id}), 0.0)
    chain.seal()
    chain.seal()
    ledger, tip = chain.machine._ledger, chain.machine.tip
    rival = replace(tip, digest=ELSEWHERE, standing=None)
    ledger.chain.add(rival)
    chain.machine._company.heard(OTHER.peer_id, telling(rival)[OTHER.peer_id])
    return chain, rival


def test_who_was_seen_on_a_rival_that_leaves_the_window_is_on_another_chain() -> None:
    """Whatever became final there is forgotten here with the rival, and only that peer still knows."""
    chain, rival = beside_a_rival()
    ledger, company = chain.machine._ledger, chain.machine._company
    while rival.digest in ledger.chain:
        assert company.apart == {}
        chain.seal()
    assert company.apart[OTHER.peer_id].tip.digest == rival.digest
    assert set(ledger.chain.forsaken) == {rival.digest}
    assert chain.machine._finality.held_up_by == {OTHER.peer_id}
    for _ in range(ledger.parts.rules.history):
        chain.seal()
    assert not ledger.chain.forsaken, "long gone: who is there holds nothing of ours and offers its whole state"


def test_a_tip_that_builds_on_a_forsaken_branch_is_on_another_chain_until_the_peer_says_that_it_came_over() -> None:
    chain, rival = beside_a_rival()
    while rival.digest in chain.machine._ledger.chain:
        chain.seal()
    ledger, company, follower = chain.machine._ledger, chain.machine._company, chain.machine._follower
    tip = chain.machine.tip
    names = [Digest(bytes([number]) * 32) for number in range(3)]
    for number, (previous, manifest) in enumerate(zip([rival.digest, *names], names, strict=False)):
        ack = Ack(tip.round + number, previous, manifest, b"x" * 32, tip.round + number - 1)
        assert ledger.votes.add(seal(ack, OTHER, run=RUN))
    follower.heard(OTHER.peer_id, Tip(names[-1], tip.round + 2, 9), is_apart=False)
    assert set(company.apart) == {OTHER.peer_id}
    follower.heard(OTHER.peer_id, Tip(bytes(31) + b"u", tip.round + 3, 9), is_apart=False)
    assert company.apart == {}, "a tip that nothing is known of may build on ours"
    follower.heard(OTHER.peer_id, Tip(names[-1], tip.round + 2, 9), is_apart=False)
    follower.heard(OTHER.peer_id, Tip(tip.digest, tip.round, tip.score), is_apart=False)
    assert company.apart == {}


def replace_tip(asked: SyncRequest, tip: Tip) -> SyncRequest:
    return msgspec.structs.replace(asked, tip=tip)


def those_left(chain: LoneChain, told: dict[PeerId, Told] | None = None) -> dict[PeerId, Digest]:
    ledger = chain.machine._ledger
    left = left_behind([OTHER.peer_id], chain=ledger.chain, votes=ledger.votes, told=told or {})
    assert all(said.apart for said in left.values())
    return {peer: Digest(said.tip.digest) for peer, said in left.items()}


def test_who_told_a_tip_of_the_chain_that_is_left_or_one_that_may_go_on_from_it_is_left_there() -> None:
    chain = three_rounds()
    assert those_left(chain) == {}
    assert those_left(chain, telling(chain.machine.line()[2])) == {OTHER.peer_id: chain.machine.line()[2].digest}
    ahead = Told(tip=Tip(ELSEWHERE, 5, 9), voted=0)
    assert those_left(chain, {OTHER.peer_id: ahead}) == {OTHER.peer_id: ELSEWHERE}
    assert those_left(chain, {OTHER.peer_id: replace(ahead, apart=True)}) == {}, "it was elsewhere all the time"


def test_of_who_voted_since_it_told_its_tip_the_vote_decides() -> None:
    chain = three_rounds()
    vote(chain, 3, chain.machine.tip.digest)
    away = {OTHER.peer_id: Told(tip=Tip(ELSEWHERE, 2, 9), voted=0, apart=True)}
    assert those_left(chain, away) == {OTHER.peer_id: chain.machine.tip.digest}
    vote(chain, 4, ELSEWHERE)
    assert those_left(chain) == {}


def test_an_answer_to_what_was_asked_on_a_chain_that_was_left_puts_nobody_on_ours() -> None:
    machine = three_rounds().machine
    asked, tip = machine.sync_request(), machine.tip
    before = replace_tip(asked, Tip(b"l" * 32, 7, 9))
    ours, theirs = Tip(tip.digest, tip.round, tip.score), Tip(ELSEWHERE, 8, 9)
    for said, question, is_apart in [(theirs, before, True), (ours, before, False), (theirs, asked, False)]:
        machine.reachable(frozenset({OTHER.peer_id}), 0.0)
        machine.receive_sync(SyncResponse(said, (), None), source=OTHER.peer_id, now=0.0, asked=question)
        assert (OTHER.peer_id in machine._company.apart) == is_apart
