"""How many messages may come before something is due because of them."""

import pytest

from peer.rounds.leeway import UNLIMITED, Leeway, room_below


@pytest.mark.parametrize(
    ("have", "expected", "room"),
    [
        (0, 24, 0),  # the first makes a seal possible
        (1, 24, 10),  # the twelfth makes half
        (11, 24, 0),
        (12, 24, 11),  # the last makes all
        (22, 24, 1),
        (23, 24, 0),
        (24, 24, 0),  # as many as are expected, but not those: any may be the one that is missing
        (25, 24, 0),
        (1, 25, 11),
        (0, 1, 0),
    ],
)
def test_room_ends_before_one_half_and_all_of_the_expected(have: int, expected: int, room: int) -> None:
    assert room_below(have, expected=expected, is_complete=False) == room


def test_room_where_all_are_in_has_no_end() -> None:
    assert room_below(24, expected=24, is_complete=True) == UNLIMITED


def test_leeway_takes_so_many_of_each_kind() -> None:
    leeway = Leeway(headers=1, seals=2)
    assert [leeway.takes_header() for _ in range(2)] == [True, False]
    assert [leeway.takes_seal() for _ in range(3)] == [True, True, False]


def test_leeway_at_first_takes_nothing() -> None:
    leeway = Leeway()
    assert not leeway.takes_header()
    assert not leeway.takes_seal()


def test_leeway_ends_with_a_payload_that_something_else_waits_for() -> None:
    leeway = Leeway(headers=5, seals=5, awaited=[b"awaited"])
    leeway.takes_payload(b"other")
    assert leeway.takes_seal()
    leeway.takes_payload(b"awaited")
    assert not leeway.takes_seal()
    assert not leeway.takes_header()
