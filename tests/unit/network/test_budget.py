"""What others may have us hold: a share for one, a bound for all, and enough for each whatever others do."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.errors import ProtocolError
from peer.network.budget import LEFT_TO_EACH_BYTES, MAX_HELD_BYTES, MAX_HELD_FOR_ONE_BYTES, MemoryBudget
from peer.types import PeerId

MIB = 1 << 20
ALICE, BOB = PeerId("alice"), PeerId("bob")


def test_one_peer_gets_its_share_and_no_more_until_it_has_given_some_back() -> None:
    budget = MemoryBudget()
    with budget.hold(ALICE, MAX_HELD_FOR_ONE_BYTES - MIB):
        with budget.hold(ALICE, MIB):
            with pytest.raises(ProtocolError, match="frame_no_room"), budget.hold(ALICE, 1):
                pass
            with budget.hold(BOB, MIB):
                pass
        with budget.hold(ALICE, 1):
            pass


def test_what_is_given_back_makes_room_for_as_much_and_no_more() -> None:
    budget = MemoryBudget()
    with budget.hold(ALICE, MAX_HELD_FOR_ONE_BYTES - 1):
        with budget.hold(ALICE, 1):
            pass
        with pytest.raises(ProtocolError, match="frame_no_room"), budget.hold(ALICE, 2):
            pass
        with budget.hold(ALICE, 1):
            assert budget.held == MAX_HELD_FOR_ONE_BYTES


def test_peer_that_asks_for_little_has_room_when_others_hold_all_there_is() -> None:
    budget = MemoryBudget()
    with ExitStack() as stack:
        for number in range(MAX_HELD_BYTES // MAX_HELD_FOR_ONE_BYTES):
            stack.enter_context(budget.hold(PeerId(f"greedy-{number}"), MAX_HELD_FOR_ONE_BYTES))
        assert budget.held == MAX_HELD_BYTES
        with pytest.raises(ProtocolError, match="frame_no_room"), budget.hold(ALICE, LEFT_TO_EACH_BYTES + 1):
            pass
        with budget.hold(ALICE, LEFT_TO_EACH_BYTES):
            pass


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2 * MIB)), max_size=200))
def test_all_that_is_held_stays_below_the_bound_and_is_given_back(asked: list[tuple[int, int]]) -> None:
    budget = MemoryBudget()
    with ExitStack() as stack:
        for number, size in asked:
            try:
                stack.enter_context(budget.hold(PeerId(str(number)), size))
            except ProtocolError:
                continue
            peers = len({number for number, _ in asked})
            assert budget.held <= MAX_HELD_BYTES + peers * LEFT_TO_EACH_BYTES
    assert budget.held == 0
    assert not budget._held
