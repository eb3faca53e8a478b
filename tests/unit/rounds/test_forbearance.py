"""For how long finality waits for those who say that they are elsewhere."""

import pytest

from peer.rounds.forbearance import Forbearance
from peer.types import PeerId

LIAR, OTHER = PeerId("liar"), PeerId("other")
ROUNDS = 12


def held_up(forbearance: Forbearance, apart: list[PeerId], rounds: range, *, members: int = 8) -> list[bool]:
    """Return for each round whether anybody was waited for."""
    return [
        bool(forbearance.waits_for(apart, round_number=number, members=members))
        for number in rounds
        for _ in range(2)  # asked more than once a round, which must not count twice
    ][::2]


def test_a_peer_is_waited_for_so_many_rounds_and_no_longer() -> None:
    forbearance = Forbearance(rounds=ROUNDS)
    assert held_up(forbearance, [LIAR], range(1, 31)) == [True] * (ROUNDS - 1) + [False] * (31 - ROUNDS)
    assert forbearance.ignored == {LIAR}
    assert forbearance.waits_for([LIAR, OTHER], round_number=31, members=8) == [OTHER]


@pytest.mark.parametrize(
    ("members", "apart", "is_waited_for"),
    [(3, 1, True), (4, 1, False), (6, 2, True), (7, 2, False), (12, 4, True), (13, 4, False)],
)
def test_a_third_of_the_members_is_waited_for_as_long_as_it_takes(
    members: int, apart: int, *, is_waited_for: bool
) -> None:
    """So many may be right: then this side is the one that strayed, and nothing of it should be final."""
    strayed = [PeerId(f"peer {number}") for number in range(apart)]
    waits = held_up(Forbearance(rounds=ROUNDS), strayed, range(1, 50), members=members)
    assert waits[-1] is is_waited_for


@pytest.mark.parametrize("pause", [1, 2, 5, 8])
def test_who_claims_and_takes_back_by_turns_gains_a_tenth(pause: int) -> None:
    """However short the claims are: each counts for a round."""
    forbearance, waits = Forbearance(rounds=ROUNDS), []
    held_up(forbearance, [LIAR], range(1, 2 * ROUNDS))
    for number in range(2 * ROUNDS, 2 * ROUNDS + 1000):
        forbearance.waits_for([], round_number=number, members=8)
        if number % pause == 0:
            waits.append(bool(forbearance.waits_for([LIAR], round_number=number, members=8)))
            forbearance.waits_for([], round_number=number, members=8)
    assert len(waits) == 1000 // pause
    assert sum(waits) <= 1000 / 10 + 1


def test_merges_now_and_then_are_forgiven() -> None:
    forbearance = Forbearance(rounds=ROUNDS)
    for merge in range(20):
        start = 1 + 40 * merge
        assert all(held_up(forbearance, [OTHER], range(start, start + 3)))
        held_up(forbearance, [], range(start + 3, start + 40))


def test_what_is_remembered_is_bounded_and_the_worst_are_kept() -> None:
    forbearance = Forbearance(rounds=ROUNDS)
    held_up(forbearance, [LIAR], range(1, 2 * ROUNDS))
    crowd = [PeerId(f"peer {number}") for number in range(5000)]
    forbearance.waits_for(crowd, round_number=2 * ROUNDS, members=8)
    assert len(forbearance._waited) <= 256
    assert forbearance.waits_for([LIAR], round_number=2 * ROUNDS + 1, members=8) == []
