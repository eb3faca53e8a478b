"""Allow-lists and the chain: unwelcome branches lose against clean ones, and a majority settles the matter."""

import pytest

from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.rounds.eligibility import Eligibility
from peer.rounds.fork_choice import Branch, prefer
from tests.unit.services.chains import LoneChain

ME, ALICE, MALLORY = (Identity.for_tests(number).peer_id for number in (1, 2, 3))


def branch(*, score: int, unwelcome: bool = False, decided: bool = False) -> Branch:
    return Branch(first_digest=bytes(32), first_view=0, decided=decided, score=score, unwelcome=unwelcome)  # type: ignore[arg-type]  # a digest is bytes


def test_without_a_list_everybody_is_taken() -> None:
    assert Eligibility(ME).takes(MALLORY)


def test_with_a_list_those_on_it_are_taken_and_oneself() -> None:
    eligibility = Eligibility(ME)
    eligibility.allow(frozenset({ALICE}))
    assert [eligibility.takes(peer) for peer in (ME, ALICE, MALLORY)] == [True, True, False]


def test_denied_peers_are_not_taken_whoever_is_allowed_but_oneself() -> None:
    eligibility = Eligibility(ME)
    for allowed in (None, frozenset({ALICE, MALLORY})):
        eligibility.allow(allowed)
        eligibility.deny(frozenset({MALLORY, ME}))
        assert [eligibility.takes(peer) for peer in (ME, ALICE, MALLORY)] == [True, True, False]


def test_the_reason_for_not_taking_work_is_named() -> None:
    eligibility = Eligibility(ME)
    eligibility.allow(frozenset({MALLORY}))
    eligibility.deny(frozenset({MALLORY}))
    eligibility.check(ME)
    for peer, reason in ((ALICE, "not_allowed"), (MALLORY, "denied")):
        with pytest.raises(ProtocolError) as caught:
            eligibility.check(peer)
        assert caught.value.reason == reason


def test_rounds_that_hold_work_of_a_denied_peer_or_that_it_sealed_are_unwelcome() -> None:
    chain = LoneChain()
    chain.seal()
    entry = chain.machine.tip
    eligibility = Eligibility(ALICE)
    assert eligibility.unwelcome([entry]) == []
    version = eligibility.version
    eligibility.deny(frozenset({MALLORY}))
    assert (eligibility.unwelcome([entry]), eligibility.version) == ([], version + 1)
    eligibility.deny(entry.admitted)
    assert eligibility.unwelcome([entry]) == [entry]


def test_the_version_grows_with_every_change_and_only_then() -> None:
    eligibility = Eligibility(ME)
    versions = [eligibility.version]
    for peers in (frozenset({ALICE}), frozenset({ALICE}), None):
        eligibility.allow(peers)
        versions.append(eligibility.version)
    assert versions == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("challenger", "current", "followed"),
    [
        (branch(score=9, unwelcome=True), branch(score=3), "current"),  # however much work it holds
        (branch(score=3), branch(score=9, unwelcome=True), "challenger"),
        (branch(score=9, unwelcome=True), branch(score=3, unwelcome=True), "challenger"),
        (branch(score=3), branch(score=9, decided=True), "current"),  # a majority has settled it
    ],
)
def test_a_branch_with_work_of_the_expelled_loses_unless_a_majority_stands_behind_it(
    challenger: Branch, current: Branch, followed: str
) -> None:
    assert prefer(challenger, current, bound=lambda: False) is (followed == "challenger")


def test_a_voter_whose_vote_may_still_decide_waits_before_it_leaves_even_an_unwelcome_branch() -> None:
    assert not prefer(branch(score=3), branch(score=9, unwelcome=True), bound=lambda: True)
