"""Mode `strict`: of two disjoint sets of peers at most one may go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.rounds.quorum import is_quorum
from peer.rounds.roster import Roster, peers_of
from peer.types import PeerId
from peer.wire.messages import RosterEntry


def roster(members: int) -> Roster:
    return tuple(RosterEntry(f"p{number}", 0, 1, 1) for number in range(members))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=9))
def test_of_three_sides_of_a_partition_at_most_one_goes_on(sides: list[int]) -> None:
    sets = [{PeerId(f"p{peer}") for peer, side in enumerate(sides) if side == wanted} for wanted in range(3)]
    going_on = [is_quorum(peers_of(roster(len(sides))), peers) for peers in sets]
    assert sum(going_on) <= 1
    if len(set(sides)) <= 2:
        assert sum(going_on) == 1, "of two sides one goes on, also when they are equally large"


@pytest.mark.parametrize(
    ("inside", "goes_on"), [("01", True), ("03", True), ("12", False), ("23", False), ("0", False)]
)
def test_of_two_equal_halves_the_one_with_the_lowest_peer_id_goes_on(inside: str, *, goes_on: bool) -> None:
    assert is_quorum(peers_of(roster(4)), {PeerId(f"p{number}") for number in inside}) is goes_on


def test_outsiders_count_for_nothing_and_without_a_roster_anybody_may() -> None:
    assert not is_quorum(peers_of(roster(4)), {PeerId("p1"), PeerId("x"), PeerId("y"), PeerId("z")})
    assert is_quorum(frozenset(), {PeerId("x")})
