"""Own pieces against a model that never sums anything up: what a chain lacks, exactly, and what may be given up."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.rounds.own_deltas import OwnDeltas, Piece, sum_pieces
from peer.types import ModelDelta, Moments


def piece(number: int, round_number: int) -> Piece:
    """Its env steps are a bit of its own, so that any sum can be read back."""
    params = np.asarray([number], np.float32)
    return Piece(round=round_number, env_steps=1 << number, delta=ModelDelta(params=params, moments=Moments.empty(1)))


def steps(pieces: list[Piece]) -> int:
    return sum(one.env_steps for one in pieces)


def above(made: int, held: int) -> int:
    """Return the bits of the pieces `held + 1` to `made`."""
    return sum(1 << number for number in range(held + 1, made + 1))


@settings(max_examples=300)
@given(
    admitted=st.lists(st.booleans(), min_size=1, max_size=30),
    history=st.integers(0, 4),
    breaks=st.sets(st.integers(0, 30), max_size=6),
)
def test_any_prefix_that_a_chain_of_the_window_holds_leaves_exactly_the_rest(
    admitted: list[bool], history: int, breaks: set[int]
) -> None:
    """A piece a round; each round admits the header that announces all that is made, or it does not."""
    own = OwnDeltas()
    held = [0]
    for number, is_admitted in enumerate(admitted, start=1):
        own.add(number, piece(number, number))
        held.append(number if is_admitted else held[-1])
        if number in breaks:
            own.keep_apart(number - 1)
        root_round = max(0, number - history)
        own.compact(set(held[root_round:]), root_round=root_round)
        for entry_round in range(root_round, number + 1):
            assert steps(own.unadmitted(held[entry_round])) == above(number, held[entry_round])
    assert len(own) <= history + 4 + 8 * len(breaks) + 4


@given(made=st.integers(1, 40), broken=st.integers(1, 40), held=st.integers(0, 40))
def test_a_chain_that_parted_at_a_pinned_break_gets_exactly_what_it_lacks(made: int, broken: int, held: int) -> None:
    broken = min(broken, made)
    held = max(broken - 1, min(held, broken + 2, made))
    own = OwnDeltas()
    for number in range(1, made + 1):
        own.add(number, piece(number, number))
        if number == broken:
            own.keep_apart(broken - 1)
        own.compact({max(0, number - 1)}, root_round=max(0, number - 2))
    assert own.change_chain(held, from_round=made, to_round=5) == []
    assert steps(own.unadmitted(held)) == above(made, held)


def test_a_chain_that_never_had_this_peer_gets_everything_in_little_memory() -> None:
    own = OwnDeltas()
    for number in range(1, 51):
        own.add(number, piece(number, number))
        own.compact({number - 3}, root_round=number - 3)
    assert len(own) <= 6
    assert own.change_chain(0, from_round=50, to_round=90) == []
    assert steps(own.unadmitted(0)) == above(50, 0)
    total = sum_pieces(own.unadmitted(0)).delta.params
    assert total[0] == sum(range(1, 51))


def test_what_cannot_be_told_apart_is_given_up_and_returned() -> None:
    own = OwnDeltas()
    for number in range(1, 11):
        own.add(number, piece(number, number))
        own.compact({number}, root_round=number)
    own.add(11, piece(11, 11))
    lost = own.change_chain(5, from_round=10, to_round=20)
    assert steps(lost) == above(10, 0)
    assert steps(own.unadmitted(5)) == above(11, 10)


def test_a_sum_that_one_chain_holds_a_part_of_comes_whole_to_one_that_holds_nothing() -> None:
    own = OwnDeltas()
    for number in range(1, 11):
        own.add(number, piece(number, number))
        own.compact({number}, root_round=number)
    assert steps(own.change_chain(5, from_round=10, to_round=20)) == above(10, 0)
    assert own.change_chain(5, from_round=20, to_round=21) == [], "reported once"
    assert own.change_chain(0, from_round=21, to_round=30) == []
    assert steps(own.unadmitted(0)) == above(10, 0)


def test_what_a_chain_lacks_is_not_lost_in_a_sum_that_it_holds_a_part_of() -> None:
    """The chain ends within pieces 4 to 6, which are one; piece 7 is as old as they are by the time it is announced."""
    own = OwnDeltas()
    for number in range(1, 8):
        own.add(number, piece(number, number))
    own.compact({3}, root_round=6)
    own.change_chain(5, from_round=7, to_round=40)
    own.compact({5}, root_round=40)
    assert steps(own.unadmitted(5)) == above(7, 6)


def test_a_long_unrest_costs_bounded_memory_and_little_work() -> None:
    """Any piece may be the last that another chain holds; of those long past only some sums are kept."""
    own = OwnDeltas()
    for number in range(1, 401):
        own.add(number, piece(number, number))
        own.keep_apart(max(0, number - 6))
        own.compact(set(range(max(0, number - 6), number)), root_round=max(0, number - 6))
    assert len(own) == 64
    for held in (370, 380, 395):
        assert steps(own.unadmitted(held)) == above(400, held), "the newest half is exact"
    for held in range(0, 401, 7):
        unclear = steps(own.unadmitted(held)) ^ above(400, held)
        assert unclear.bit_count() <= 2 * 400 / 32
    assert steps(own.unadmitted(0)) == above(400, 0)


@pytest.mark.parametrize(("params", "kept"), [(1 << 20, 64), (1 << 23, 32)])
def test_large_models_are_kept_apart_less_often(params: int, kept: int) -> None:
    """1 MiB a piece, then 8 MiB: views of one number, so that the test takes no memory; no more than that is added."""
    own = OwnDeltas()
    delta = ModelDelta(params=np.broadcast_to(np.float32(1), (params // 4,)), moments=Moments.empty(1))
    own.keep_apart(0)
    for number in range(1, kept + 2):
        own.add(number, Piece(round=number, env_steps=1, delta=delta))
        own.keep_apart(number - 1)
    own.compact({kept}, root_round=kept)
    assert len(own) == kept


def test_after_work_that_a_chain_may_have_forgotten_the_numbers_go_on() -> None:
    own = OwnDeltas()
    for number in range(1, 7):
        own.add(number, piece(number, number))
    assert own.last_made_for(4) == 4
    assert own.last_made_for(0) == 0
    assert steps(own.change_chain(4, from_round=6, to_round=20, forgotten=4)) == above(4, 0)
    assert steps(own.unadmitted(4)) == above(6, 4)


def test_with_forgotten_work_goes_all_that_was_announced_with_it() -> None:
    """Pieces 1 and 2 were made on a longer chain, so for later rounds than piece 3."""
    own = OwnDeltas()
    for number, round_number in [(1, 101), (2, 102), (3, 51)]:
        own.add(number, piece(number, round_number))
    assert own.last_made_for(60) == 3


def test_work_of_another_branch_is_as_old_as_the_branch_is_long() -> None:
    own = OwnDeltas()
    for number in range(1, 11):
        own.add(number, piece(number, 100 + number))
    own.change_chain(2, from_round=110, to_round=50)
    assert {one.round for one in own.unadmitted(2)} == {50 - 8}


def test_what_came_late_before_a_break_is_kept_apart_from_what_the_others_hold() -> None:
    """The others went on from round 2, which had admitted piece 1 alone; piece 2 was in the next round here."""
    own = OwnDeltas()
    for number in range(1, 11):
        own.add(number, piece(number, number))
        if number == 4:
            own.keep_apart(0)
        own.compact({max(0, number - 4)}, root_round=max(0, number - 4))
    assert own.change_chain(1, from_round=10, to_round=12) == []
    assert steps(own.unadmitted(1)) == above(10, 1)


def test_a_return_to_the_chain_that_was_left_brings_only_the_new() -> None:
    own = OwnDeltas()
    for number in range(1, 9):
        own.add(number, piece(number, number))
        own.compact({number - 4}, root_round=number - 4)
    own.keep_apart(4)
    own.change_chain(0, from_round=8, to_round=30)
    own.add(9, piece(9, 31))
    own.compact({0}, root_round=30)
    assert own.change_chain(8, from_round=31, to_round=12) == []
    assert steps(own.unadmitted(8)) == above(9, 8)


@given(st.lists(st.tuples(st.integers(-8, 8), st.sampled_from([1.0, 0.5, 0.25])), min_size=1, max_size=6))
def test_sum_of_shares_is_the_exact_one(parts: list[tuple[int, float]]) -> None:
    pieces = [
        Piece(
            round=1,
            env_steps=1,
            delta=ModelDelta(params=np.asarray([value], np.float32), moments=Moments.empty(1)),
        )
        for value, _ in parts
    ]
    total = sum_pieces(pieces, [share for _, share in parts])
    assert Fraction(float(total.delta.params[0])) == sum(Fraction(value) * Fraction(share) for value, share in parts)


def test_work_that_was_brought_along_before_is_not_taken_for_forgotten() -> None:
    """It is dated back when a chain is left; the horizon goes by the rounds that it was made for."""
    own = OwnDeltas()
    for number in range(1, 5):
        own.add(number, piece(number, 10 + number))
    own.change_chain(0, from_round=14, to_round=3)
    assert own.last_made_for(6) == 0
