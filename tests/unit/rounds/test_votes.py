"""Votes by peer and by camp: the same votes, counted once each."""

from collections import defaultdict

from peer.network.identity import Identity
from peer.rounds.votes import VoteBook
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed, run_id_of, seal
from peer.wire.messages import Ack

RUN = run_id_of("test", 0)
MODEL = Digest(bytes(32))


def vote(voter: int, round_number: int, manifest: int, model: Digest = MODEL) -> Signed[Ack]:
    body = Ack(round_number, bytes(32), bytes([manifest]) * 32, model, round_number - 1)
    return seal(body, Identity.for_tests(voter), run=RUN)


def test_camps_hold_every_first_vote_once_by_what_it_is_for() -> None:
    votes = VoteBook()
    other = Digest(b"m" * 32)
    for ack in (vote(1, 5, 1), vote(2, 5, 1), vote(3, 5, 2), vote(4, 5, 1, other), vote(1, 5, 2), vote(1, 6, 1)):
        votes.add(ack)
    expected: dict[tuple[bytes, bytes], set[PeerId]] = defaultdict(set)
    for peer, ack in votes.of(5).items():
        expected[ack.message.manifest, ack.message.model].add(peer)
    assert votes.camps(5) == expected
    assert sorted(map(len, votes.camps(5).values())) == [1, 1, 2]
    assert votes.voters(5, Digest(b"\x01" * 32), MODEL) == expected[b"\x01" * 32, MODEL]
    assert votes.rounds() == [5, 6]


def test_forgotten_rounds_have_no_camps() -> None:
    votes = VoteBook()
    votes.add(vote(1, 5, 1))
    votes.add(vote(1, 6, 1))
    votes.forget(before_round=6)
    assert votes.rounds() == [6]
    assert votes.camps(5) == {}
    assert votes.parents(5) == frozenset()
    votes.add(vote(1, 7, 1))
    assert votes.rounds() == [6, 7]


def test_a_voter_that_contradicts_itself_is_in_no_camp_any_more() -> None:
    votes = VoteBook()
    for ack in (vote(1, 5, 1), vote(2, 5, 1), vote(1, 6, 1)):
        votes.add(ack)
    before = votes.version
    liar, other = (Identity.for_tests(number).peer_id for number in (1, 2))
    votes.discard(liar)
    assert votes.version > before, "whoever has counted counts again"
    assert set().union(*votes.camps(5).values(), *votes.camps(6).values()) == {other}
    assert not votes.add(vote(1, 7, 1))
    assert liar not in votes.of(5)
    assert votes.abstained(liar, 7), "nobody waits for its vote to turn up"


def test_parents_are_those_that_some_counted_vote_names() -> None:
    votes = VoteBook()
    for ack in (vote(1, 5, 1), vote(2, 5, 1), vote(3, 5, 2)):
        votes.add(ack)
    votes.discard(Identity.for_tests(3).peer_id)
    assert votes.parents(5) == {(b"\x01" * 32, bytes(32))}


def test_votes_that_came_since_are_told_unless_some_were_discarded() -> None:
    votes = VoteBook()
    first, second, third = vote(1, 5, 1), vote(2, 5, 1), vote(3, 5, 2)
    votes.add(first)
    version = votes.version
    assert votes.added_since(version) == []
    votes.add(second)
    votes.add(third)
    assert votes.added_since(version) == [second, third]
    votes.discard(Identity.for_tests(2).peer_id)
    assert votes.added_since(version) is None


def test_in_a_full_round_votes_of_electors_displace_others() -> None:
    electors = {Identity.for_tests(number).peer_id for number in range(1001, 1004)}
    votes = VoteBook(is_elector=lambda peer: peer in electors)
    for number in range(1, 301):
        votes.add(vote(number, 5, number % 200))
    assert len(votes) == 256
    seen, cast = votes.version, votes.num_cast(5)
    assert all(votes.add(vote(number, 5, 1)) for number in range(1001, 1004))
    assert len(votes) == 256
    assert votes.num_cast(5) == cast + 3
    assert electors <= votes.voters(5, Digest(b"\x01" * 32), MODEL)
    assert votes.added_since(seen) is None, "some are gone: look at all"
    assert sum(map(len, votes.camps(5).values())) == 256
    assert votes.parents(5) == {(ack.message.manifest, ack.message.previous) for ack in votes.of(5).values()}
    assert not votes.add(vote(1004, 5, 1))


def test_liars_that_can_decide_nothing_are_forgotten_first() -> None:
    elector = Identity.for_tests(1)
    votes = VoteBook(is_elector=lambda peer: peer == elector.peer_id)
    for number in range(1, 300):
        votes.discard(Identity.for_tests(number).peer_id)
    assert not votes.add(vote(1, 5, 1))
    assert votes.add(vote(2, 5, 1))
    assert not votes.add(vote(299, 5, 1))
