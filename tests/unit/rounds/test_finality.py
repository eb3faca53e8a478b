"""How many votes are missing until another round is final: so many may come without being counted."""

from collections.abc import Sequence
from dataclasses import replace

from peer.network.identity import Identity
from peer.rounds.finality import Count, count_votes
from peer.wire.envelope import seal
from peer.wire.messages import Ack, RosterEntry
from tests.unit.services.chains import ME, RUN, LoneChain

OTHERS = [Identity.for_tests(number) for number in (2, 3, 4, 5)]
MORE_THAN_COME = 10**9


def a_vote_of_five() -> LoneChain:
    """Return a peer at a round on which five decide, and of whose votes it holds its own."""
    start = LoneChain()
    start.seal()
    members = [*start.machine.tip.roster, *(RosterEntry(other.peer_id, 0, 50, 1) for other in OTHERS)]
    roster = tuple(sorted(members, key=lambda member: member.peer))
    chain = LoneChain(replace(start.machine.tip, roster=roster, standing=None))
    chain.seal()
    return chain


def count(chain: LoneChain, *, above: int, reached: Sequence[Identity] = OTHERS, contested: bool = False) -> Count:
    """reached: who can be, beside this peer. contested: whether somebody who can be is known to be on a rival."""
    ledger = chain.machine._ledger
    alive = frozenset({ME.peer_id, *(other.peer_id for other in reached)})
    rivals = (ledger.tip.parent,) if contested else ()
    return count_votes(ledger.chain, ledger.votes, alive=alive, above=above, contested=rivals)


def after_leaving(chain: LoneChain, *gone: Identity) -> LoneChain:
    """Take these off the roster of the tip, for which they were entitled to decide."""
    tip, names = chain.machine.tip, {each.peer_id for each in gone}
    tip.roster, tip.standing = tuple(member for member in tip.roster if member.peer not in names), None
    return chain


def test_round_is_final_with_the_vote_that_was_missing() -> None:
    chain = a_vote_of_five()
    tip, votes = chain.machine.tip, chain.machine._ledger.votes
    for missing, other in zip((2, 1), OTHERS, strict=False):
        counted = count(chain, above=tip.round - 1)
        assert (counted.newest, counted.short) == (None, missing)
        votes.add(seal(Ack(tip.round, tip.parent, tip.digest, tip.model, tip.round - 1), other, run=RUN))
    assert count(chain, above=tip.round - 1).newest is tip


def test_members_that_cannot_be_reached_are_waited_for() -> None:
    """Else each side of a partition would hold its own rounds as final at once."""
    chain = a_vote_of_five()
    counted = count(chain, above=chain.machine.tip.round - 1, reached=())
    assert (counted.newest, counted.short) == (None, 2)


def test_those_that_have_left_and_cannot_be_reached_are_not_waited_for() -> None:
    chain = after_leaving(a_vote_of_five(), *OTHERS)
    above = chain.machine.tip.round - 1
    assert count(chain, above=above, reached=OTHERS[:2]).short == 1
    assert count(chain, above=above, reached=OTHERS[:1]).short == 1
    assert count(chain, above=above, reached=()).newest is chain.machine.tip


def test_who_had_no_say_in_what_is_final_is_named() -> None:
    chain = a_vote_of_five()
    voted = chain.machine.tip
    chain.seal()
    after_leaving(chain, *OTHERS)
    assert count(chain, above=voted.round - 1, reached=()).newest is chain.machine.tip
    names = {other.peer_id for other in OTHERS}
    assert count(chain, above=voted.round - 1, reached=()).without.keys() == names
    assert count(chain, above=voted.round - 1, reached=OTHERS[:1]).without == {}, "nothing is final that way"
    assert count(chain, above=chain.machine.tip.round, reached=()).without == {}


def test_while_somebody_is_on_a_rival_those_that_have_left_are_waited_for() -> None:
    chain = after_leaving(a_vote_of_five(), *OTHERS)
    counted = count(chain, above=chain.machine.tip.round - 1, reached=(), contested=True)
    assert (counted.newest, counted.short) == (None, 2)


def test_a_vote_for_another_model_makes_nothing_final() -> None:
    chain = a_vote_of_five()
    tip, votes = chain.machine.tip, chain.machine._ledger.votes
    for other in OTHERS:
        votes.add(seal(Ack(tip.round, tip.parent, tip.digest, b"o" * 32, tip.round - 1), other, run=RUN))
    assert count(chain, above=tip.round - 1).newest is None


def test_a_vote_for_a_later_round_stands_behind_those_it_builds_on() -> None:
    chain = a_vote_of_five()
    below = chain.machine.tip
    chain.seal()
    tip, votes = chain.machine.tip, chain.machine._ledger.votes
    for other in OTHERS[:2]:
        votes.add(seal(Ack(tip.round, tip.parent, tip.digest, tip.model, below.round - 1), other, run=RUN))
    assert count(chain, above=below.round - 1).newest is tip


def test_a_vote_for_an_earlier_round_stands_behind_none_that_build_on_it() -> None:
    chain = a_vote_of_five()
    below, votes = chain.machine.tip, chain.machine._ledger.votes
    for other in OTHERS:
        votes.add(seal(Ack(below.round, below.parent, below.digest, below.model, below.round - 1), other, run=RUN))
    chain.seal()
    assert count(chain, above=below.round - 1).newest is below


def test_no_vote_is_missing_where_all_is_final() -> None:
    chain = LoneChain()
    chain.seal()
    chain.seal()
    tip = chain.machine.tip
    assert count(chain, above=0).newest is tip
    assert count(chain, above=0).short > MORE_THAN_COME
    assert count(chain, above=tip.round).short > MORE_THAN_COME
