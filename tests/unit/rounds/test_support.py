"""Who stands behind a manifest: told from votes for it, for what builds on it, and for what is not known here."""

from dataclasses import replace

import pytest

from peer.network.identity import Identity
from peer.rounds.chain import Chain
from peer.rounds.entry import Entry
from peer.rounds.support import Decisions, may_be_decided, stance
from peer.rounds.votes import VoteBook
from peer.types import Digest
from peer.wire.envelope import seal
from peer.wire.messages import Ack
from tests.unit.services.chains import RUN, LoneChain

VOTERS = [Identity.for_tests(number) for number in range(1, 6)]
ELECTORS = frozenset(voter.peer_id for voter in VOTERS)
STRANGERS = [Identity.for_tests(number) for number in range(20, 25)]
OTHER_MODEL = Digest(b"m" * 32)


class Tree:
    """Two branches, `a` and `b`, of three rounds each, numbered from 1, on a root that is round 0 here."""

    def __init__(self) -> None:
        self.root = LoneChain().machine.tip
        self.chain, self.votes = Chain(self.root), VoteBook()
        self.a, self.b = (self._branch(name) for name in (b"a", b"b"))

    def _branch(self, name: bytes) -> list[Entry]:
        line = [self.root]
        for number in range(1, 4):
            last = line[-1]
            digest = Digest(name * 31 + bytes([number]))
            line.append(replace(last, round=number, digest=digest, parent=last.digest, standing=None))
            self.chain.add(line[-1])
        return line

    def vote(self, voter: Identity, entry: Entry, *, model: Digest | None = None) -> None:
        body = Ack(entry.round, entry.parent, entry.digest, model or entry.model, max(0, entry.round - 1))
        assert self.votes.add(seal(body, voter, run=RUN))

    def vote_for_unknown(self, voter: Identity, number: int, *, name: bytes, previous: bytes, after: int) -> None:
        body = Ack(number, previous, name * 32, self.root.model, after)
        assert self.votes.add(seal(body, voter, run=RUN))

    def is_decided(self, first: Entry) -> bool:
        return Decisions().is_decided(first, ELECTORS, chain=self.chain, votes=self.votes)

    def stance(self, voter: Identity, number: int, first: Entry) -> bool | None:
        return stance(voter.peer_id, number, first, chain=self.chain, votes=self.votes)


def test_as_many_votes_as_are_a_majority_decide() -> None:
    tree = Tree()
    for voter in VOTERS[:2]:
        tree.vote(voter, tree.a[1])
    assert not tree.is_decided(tree.a[1])
    tree.vote(VOTERS[2], tree.a[1])
    assert tree.is_decided(tree.a[1])
    assert not tree.is_decided(tree.b[1])
    assert not tree.is_decided(tree.a[2]), "what builds on it was not voted for"


def test_votes_for_what_builds_on_a_manifest_are_for_it() -> None:
    tree = Tree()
    for voter in VOTERS[:3]:
        tree.vote(voter, tree.a[3])
    assert tree.is_decided(tree.a[1])
    assert not tree.is_decided(tree.b[1])


def test_votes_of_different_rounds_are_not_added_up() -> None:
    tree = Tree()
    for voter, number in zip(VOTERS[:4], (1, 1, 2, 2), strict=True):
        tree.vote(voter, tree.a[number])
    assert not tree.is_decided(tree.a[1])


def test_votes_for_another_model_or_of_no_elector_decide_nothing() -> None:
    tree = Tree()
    for voter in VOTERS:
        tree.vote(voter, tree.a[1], model=OTHER_MODEL)
    for stranger in STRANGERS:
        tree.vote(stranger, tree.a[1])
    assert not tree.is_decided(tree.a[1])


def test_a_decision_is_seen_with_the_vote_that_makes_it() -> None:
    tree, decisions = Tree(), Decisions()
    for voter in VOTERS[:3]:
        assert not decisions.is_decided(tree.a[1], ELECTORS, chain=tree.chain, votes=tree.votes)
        tree.vote(voter, tree.a[1])
    assert decisions.anything_new(tree.chain, tree.votes)
    assert decisions.is_decided(tree.a[1], ELECTORS, chain=tree.chain, votes=tree.votes)
    assert not decisions.anything_new(tree.chain, tree.votes)


def test_a_known_vote_stands_behind_what_it_builds_on_and_nothing_else() -> None:
    tree, voter = Tree(), VOTERS[0]
    tree.vote(voter, tree.a[2])
    assert tree.stance(voter, 2, tree.a[1]) is True
    assert tree.stance(voter, 2, tree.a[2]) is True
    assert tree.stance(voter, 2, tree.b[1]) is False
    assert tree.stance(voter, 3, tree.a[1]) is None


def test_a_vote_for_an_unknown_manifest_stands_behind_what_it_builds_on() -> None:
    tree, voter = Tree(), VOTERS[0]
    tree.vote_for_unknown(voter, 3, name=b"x", previous=tree.a[2].digest, after=0)
    assert tree.stance(voter, 3, tree.a[1]) is True
    assert tree.stance(voter, 3, tree.a[2]) is True
    assert tree.stance(voter, 3, tree.b[1]) is False
    assert tree.stance(voter, 3, tree.a[3]) is False, "in that round it is another one"


def test_a_vote_for_an_unknown_manifest_is_traced_along_the_voters_own_votes() -> None:
    tree, voter = Tree(), VOTERS[0]
    tree.vote(voter, tree.a[1])
    tree.vote_for_unknown(voter, 2, name=b"x", previous=tree.a[1].digest, after=1)
    tree.vote_for_unknown(voter, 3, name=b"y", previous=b"x" * 32, after=2)
    assert tree.stance(voter, 3, tree.a[1]) is True
    assert tree.stance(voter, 3, tree.b[1]) is False
    assert tree.stance(voter, 3, tree.a[2]) is False, "it voted for another in that round"


@pytest.mark.parametrize("before", [b"w", None])
def test_a_vote_that_leads_to_none_of_the_voters_own_says_nothing(before: bytes | None) -> None:
    tree, voter = Tree(), VOTERS[0]
    if before is not None:
        tree.vote_for_unknown(voter, 2, name=before, previous=tree.b[1].digest, after=1)
    tree.vote_for_unknown(voter, 3, name=b"y", previous=b"x" * 32, after=2)
    assert tree.stance(voter, 3, tree.a[1]) is None


def test_who_declares_that_it_gave_no_vote_stood_behind_nothing() -> None:
    tree, voter = Tree(), VOTERS[0]
    tree.vote_for_unknown(voter, 3, name=b"y", previous=tree.a[2].digest, after=1)
    assert tree.stance(voter, 2, tree.a[1]) is False
    assert tree.stance(voter, 1, tree.a[1]) is None


def may(tree: Tree, first: Entry, *, reachable: int, through_round: int = 1) -> bool:
    """reachable: the last so many of the electors."""
    return may_be_decided(
        first, ELECTORS, chain=tree.chain, votes=tree.votes, through_round=through_round,
        reachable=frozenset(voter.peer_id for voter in VOTERS[len(VOTERS) - reachable :]),
    )  # fmt: skip


def test_what_a_majority_may_still_vote_for_may_be_decided() -> None:
    tree = Tree()
    tree.vote(VOTERS[0], tree.a[1])
    assert may(tree, tree.a[1], reachable=2)
    assert not may(tree, tree.a[1], reachable=1), "of those that cannot be reached no vote turns up"
    tree.vote(VOTERS[4], tree.b[1])
    assert not may(tree, tree.a[1], reachable=2)
    assert may(tree, tree.a[1], reachable=3)
    assert may(tree, tree.b[1], reachable=3)


def test_a_later_round_may_decide_what_an_earlier_one_did_not() -> None:
    tree = Tree()
    for voter in VOTERS[:3]:
        tree.vote(voter, tree.b[1])
    assert not may(tree, tree.a[1], reachable=5)
    assert may(tree, tree.a[1], reachable=5, through_round=2)
