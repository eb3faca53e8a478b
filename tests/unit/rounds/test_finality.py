"""How many votes are missing until another round is final: so many may come without being counted."""

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


def count(chain: LoneChain, *, above: int) -> Count:
    ledger = chain.machine._ledger
    alive = frozenset({ME.peer_id, *(other.peer_id for other in OTHERS)})
    return count_votes(ledger.chain, ledger.votes, alive=alive, above=above)


def test_round_is_final_with_the_vote_that_was_missing() -> None:
    chain = a_vote_of_five()
    tip, votes = chain.machine.tip, chain.machine._ledger.votes
    for missing, other in zip((2, 1), OTHERS, strict=False):
        counted = count(chain, above=tip.round - 1)
        assert (counted.newest, counted.short) == (None, missing)
        votes.add(seal(Ack(tip.round, tip.parent, tip.digest, tip.model, tip.round - 1), other, run=RUN))
    assert count(chain, above=tip.round - 1).newest is tip


def test_no_vote_is_missing_where_all_is_final() -> None:
    chain = LoneChain()
    chain.seal()
    chain.seal()
    tip = chain.machine.tip
    assert count(chain, above=0).newest is tip
    assert count(chain, above=0).short > MORE_THAN_COME
    assert count(chain, above=tip.round).short > MORE_THAN_COME
