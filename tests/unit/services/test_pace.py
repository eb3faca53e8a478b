"""How long a round is for one peer."""

from dataclasses import replace

import pytest

from peer.rounds.entry import Entry
from peer.services.pace import Pace
from peer.types import PeerId
from peer.wire.messages import RosterEntry
from tests.unit.services.chains import first_entry

ME = PeerId("me")


def base(*, missed: int | None, number: int = 5) -> Entry:
    mine = () if missed is None else (RosterEntry(ME, missed, 1, 1),)
    return replace(first_entry(), round=number, roster=(RosterEntry("another", 0, 1, 1), *mine))


def test_a_late_peer_announces_earlier_each_time_and_comes_back_slowly() -> None:
    pace = Pace(ME, train_s=2.0, env_steps=None)
    lengths = []
    for missed in (0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0):
        pace.note(base(missed=missed))
        lengths.append(pace.seconds)
    assert lengths == [2.0, 1.0, 0.5, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.0]


def test_an_outsider_announces_in_the_middle_and_a_lone_starter_at_the_end() -> None:
    pace = Pace(ME, train_s=2.0, env_steps=None)
    pace.note(base(missed=None))
    assert pace.seconds == 1.0
    pace.note(first_entry())
    assert pace.seconds == 2.0


@pytest.mark.parametrize(("missed", "length"), [(0, 0.5), (None, 0.25)])
def test_the_second_round_is_a_quarter_as_long_as_it_makes_the_first_one_final(
    missed: int | None, length: float
) -> None:
    pace = Pace(ME, train_s=2.0, env_steps=None)
    pace.note(base(missed=missed, number=1))
    assert pace.seconds == length
    pace.note(base(missed=0, number=2))
    assert pace.seconds == 2.0


def test_a_round_by_steps_ends_at_the_steps_or_at_the_time() -> None:
    pace = Pace(ME, train_s=60.0, env_steps=5_000)
    assert not pace.is_over(left_s=30.0, env_steps=4_999)
    assert pace.is_over(left_s=30.0, env_steps=5_000)
    assert pace.is_over(left_s=0.0, env_steps=10)


@pytest.mark.parametrize(
    ("left_s", "env_steps", "steps_per_s", "length"),
    [(30.0, 0, 0.0, 0.5), (30.0, 0, 1000.0, 0.5), (30.0, 4_800, 1000.0, 0.2), (30.0, 4_999, 1000.0, 0.05)],
)
def test_the_last_slice_of_a_round_by_steps_is_as_long_as_it_needs(
    left_s: float, env_steps: int, steps_per_s: float, length: float
) -> None:
    pace = Pace(ME, train_s=60.0, env_steps=5_000)
    assert pace.slice_s(left_s=left_s, env_steps=env_steps, steps_per_s=steps_per_s) == pytest.approx(length)
