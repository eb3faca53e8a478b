"""What an honest process never signs twice, however its chain is turned about: else it would be proven a liar."""

import pytest

from peer.rounds.effects import Effect, Publish
from peer.rounds.equivocation import Witness
from peer.rounds.rules import RoundRules
from peer.wire.envelope import open_envelope
from peer.wire.messages import decode_announcement
from tests.unit.services.chains import RUN, LoneChain, work


def published(effects: list[Effect]) -> list[bytes]:
    return [decode_announcement(effect.data).envelope for effect in effects if isinstance(effect, Publish)]


@pytest.mark.parametrize("flat_peers", [RoundRules().flat_peers, 0], ids=["flat", "in groups"])
def test_a_process_that_comes_back_to_a_parent_does_not_seal_on_it_again(flat_peers: int) -> None:
    """A state that is known to be wrong is replaced by another's snapshot, of a round before the last one."""
    chain = LoneChain(rules=RoundRules(flat_peers=flat_peers))
    chain.seal()
    machine, parent = chain.machine, chain.machine.tip
    witness = Witness()
    for data in published(chain.seal()):
        assert witness.see(open_envelope(data, run=RUN)) is None
    machine._ledger.restart_from(parent)
    machine._ledger.groups.forget(keep=())  # what this process has said is not in its pools any more
    machine._follower.restarted()
    effects = machine._open_round(chain.now)
    effects += machine.announce(work(machine.tip, step=0.25), chain.now)
    for _ in range(40):
        chain.now += 0.5
        effects += machine.tick(chain.now)
    told = [open_envelope(data, run=RUN) for data in published(effects)]
    assert told, "it goes on announcing"
    assert [witness.see(signed) for signed in told] == [None] * len(told)
    assert machine.tip is parent


def test_a_process_that_has_forgotten_its_votes_does_not_vote_in_those_rounds_again() -> None:
    chain = LoneChain()
    chain.seal()
    chain.seal()
    ledger, voter = chain.machine._ledger, chain.machine._follower._voter
    line = chain.machine.line()[1:]
    assert ledger.votes.rounds() == [1, 2]
    ledger.votes.forget(before_round=100)
    assert voter.vote(line, chain.now, final_round=0) == []
