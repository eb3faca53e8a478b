"""When one chain replaces another for those who stand behind it (docs/adr/0071, 0079)."""

from dataclasses import replace

import pytest

from peer.rounds.merging import YOUNG_ROUNDS, Side, verdict
from peer.types import PeerId

ELDER = Side(round=YOUNG_ROUNDS + 1, score=100, backers=frozenset({PeerId("elder")}))


def side(num_backers: int, *, round_number: int = 99) -> Side:
    backers = frozenset(PeerId(f"peer {number}") for number in range(num_backers))
    return Side(round=round_number, score=50, backers=backers, known=backers)


@pytest.mark.parametrize(
    ("few", "many", "decided"),
    [(0, 0, False), (1, 1, False), (1, 2, True), (2, 3, False), (2, 4, True), (3, 5, False)],
)
def test_only_twice_as_many_outnumber(few: int, many: int, *, decided: bool) -> None:
    assert verdict(side(many), side(few)) is (True if decided else None)
    assert verdict(side(few), side(many)) is (False if decided else None)


def test_one_peer_alone_goes_by_the_score_as_who_offers_a_state_counts_behind_it() -> None:
    assert verdict(side(0), side(1)) is None


@pytest.mark.parametrize(("ours", "theirs", "replaces"), [(2, 0, False), (2, 1, False), (3, 2, None), (6, 3, False)])
def test_no_chain_is_left_for_one_with_half_as_many_though_it_is_not_that_of_most(
    ours: int, theirs: int, *, replaces: bool | None
) -> None:
    """Nor is the other one left for it then: while most are elsewhere, the scores decide there."""
    elsewhere = side(99).backers
    assert verdict(side(theirs), replace(side(ours), others=elsewhere)) is replaces
    assert verdict(replace(side(ours), others=elsewhere), side(theirs)) is None


def test_a_young_chain_gives_way_to_one_that_strangers_trained_for_long() -> None:
    young = side(7, round_number=YOUNG_ROUNDS)
    assert verdict(ELDER, young) is True
    assert verdict(young, ELDER) is False


def test_who_was_on_a_young_chain_is_not_known_before_its_state_is_here() -> None:
    young = side(7, round_number=YOUNG_ROUNDS)
    assert verdict(replace(young, known=None), ELDER) is True, "worth a look"


@pytest.mark.parametrize(
    "elder",
    [
        replace(ELDER, round=YOUNG_ROUNDS),  # no older
        replace(ELDER, score=50),  # no more work in it
        replace(ELDER, backers=frozenset()),  # a state that nobody has voted for
        replace(ELDER, backers=frozenset({PeerId("peer 3")})),  # a member that went its own way
        replace(ELDER, backers=ELDER.backers | {PeerId("peer 3")}),
        replace(ELDER, known=frozenset({PeerId("peer 3")})),  # a newcomer that took over a member's
    ],
)
def test_else_the_many_do_not_give_way_to_one(elder: Side) -> None:
    assert verdict(elder, side(7, round_number=YOUNG_ROUNDS)) is False
    assert verdict(elder, side(7, round_number=YOUNG_ROUNDS + 1)) is False


def test_nor_do_they_once_they_have_trained_for_longer() -> None:
    assert verdict(ELDER, side(7, round_number=YOUNG_ROUNDS + 1)) is False
