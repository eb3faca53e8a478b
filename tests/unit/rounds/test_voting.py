"""A peer's own votes: one a round, and none against an earlier one that may still decide."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from peer.network.identity import Identity
from peer.rounds.entry import Entry
from peer.rounds.voting import Voter
from peer.types import Digest
from peer.wire.envelope import seal
from peer.wire.messages import Ack, RosterEntry
from tests.unit.services.chains import ME, RUN, LoneChain

OTHERS = [Identity.for_tests(number) for number in (2, 3, 4, 5)]
GRACE_S = 3.0


class Fork:
    """Two branches on a round with five on the roster, all in reach: `ours` and `theirs`, three rounds each."""

    def __init__(self) -> None:
        start = LoneChain()
        start.seal()
        members = sorted([ME, *OTHERS], key=lambda member: member.peer_id)
        roster = tuple(RosterEntry(member.peer_id, 0, 50, 1) for member in members)
        self.root = replace(start.machine.tip, roster=roster, standing=None)
        machine = LoneChain(self.root).machine
        machine.reachable(frozenset(other.peer_id for other in OTHERS), 0.0)
        self.ledger = machine._ledger
        self.voter = Voter(self.ledger, machine._company)
        self.ours, self.theirs = (self._branch(name) for name in (b"o", b"t"))

    def _branch(self, name: bytes) -> list[Entry]:
        line = [self.root]
        for _ in range(3):
            last = line[-1]
            digest = Digest(name * 31 + bytes([last.round]))
            line.append(replace(last, round=last.round + 1, digest=digest, parent=last.digest, standing=None))
            self.ledger.chain.add(line[-1])
        return line[1:]

    def votes(self, *path: Entry) -> list[tuple[int, int]]:
        """Return the rounds that this peer votes in, each with the last in which it says that it voted before."""
        acks = self.voter.vote(path, 0.0, final_round=self.root.round)
        assert all((ack.message.manifest, ack.message.previous) in {(e.digest, e.parent) for e in path} for ack in acks)
        return [(ack.message.round, ack.message.after) for ack in acks]

    def hears(self, entry: Entry, voters: Sequence[Identity]) -> None:
        for voter in voters:
            vote = Ack(entry.round, entry.parent, entry.digest, entry.model, entry.round - 1)
            self.ledger.votes.add(seal(vote, voter, run=RUN))


@pytest.fixture
def fork() -> Fork:
    fork = Fork()
    fork.voter.took_part(fork.root.round + 1)
    return fork


def test_each_round_is_voted_in_once(fork: Fork) -> None:
    first = fork.ours[0].round
    assert fork.votes(*fork.ours[:2]) == [(first, first - 1), (first + 1, first)]
    assert fork.votes(*fork.ours) == [(first + 2, first + 1)]
    assert fork.votes(*fork.ours) == []


def test_a_round_is_not_voted_in_again_when_the_vote_in_it_is_forgotten(fork: Fork) -> None:
    assert fork.votes(fork.ours[0])
    fork.ledger.votes.forget(before_round=fork.ours[0].round + 1)
    assert fork.votes(fork.theirs[0]) == []


def test_rounds_before_the_first_own_work_are_not_voted_in() -> None:
    fork = Fork()
    assert fork.votes(*fork.ours) == []
    fork.voter.took_part(fork.ours[1].round)
    fork.voter.took_part(fork.ours[0].round)
    assert [number for number, _ in fork.votes(*fork.ours)] == [fork.ours[1].round, fork.ours[2].round]


def test_no_rival_is_voted_for_while_an_earlier_vote_may_still_decide(fork: Fork) -> None:
    assert fork.votes(fork.ours[0])
    assert fork.votes(*fork.theirs) == []
    fork.hears(fork.theirs[0], OTHERS[:2])
    assert fork.votes(*fork.theirs) == [], "the other two may have voted as we did"


def test_a_rival_is_voted_for_once_the_earlier_vote_can_decide_nothing_any_more(fork: Fork) -> None:
    first = fork.ours[0].round
    assert fork.votes(fork.ours[0])
    fork.hears(fork.theirs[0], OTHERS[:3])
    assert fork.votes(*fork.theirs) == [(first + 1, first), (first + 2, first + 1)], "never again in the first round"


def test_a_vote_of_an_earlier_life_counts_as_an_own_one(fork: Fork) -> None:
    fork.hears(fork.ours[1], [ME])
    first = fork.ours[0].round
    assert fork.votes(*fork.theirs) == [], "it may still decide"
    assert fork.votes(*fork.ours) == [(first + 2, first + 1)], "nor are earlier rounds voted in afterwards"


def test_a_vote_holds_back_from_the_better_branch_for_a_grace_period(fork: Fork) -> None:
    ours, theirs = fork.ours[0], fork.theirs[0]
    assert not fork.voter.is_bound(ours, theirs, 0.0)
    assert fork.votes(ours)
    assert fork.voter.is_bound(ours, theirs, GRACE_S - 0.1)
    assert not fork.voter.is_bound(ours, theirs, GRACE_S)


def test_a_vote_that_can_decide_nothing_any_more_holds_back_from_nothing(fork: Fork) -> None:
    ours, theirs = fork.ours[0], fork.theirs[0]
    assert fork.votes(ours)
    fork.hears(theirs, OTHERS[:3])
    assert not fork.voter.is_bound(ours, theirs, 0.0)
