"""What is passed on: bounded in number, in batches and in tellings; the accused hears of it first."""

from peer.membership.rumours import Rumours
from peer.types import PeerId
from peer.wire.limits import MAX_STATEMENTS
from tests.unit.membership.statements import alive, suspect


def test_a_statement_is_told_three_log_n_times_and_then_dropped() -> None:
    rumours = Rumours()
    rumours.add(suspect("b", by="a"))
    told = 0
    while rumours.batch(PeerId("c"), members=6):
        told += 1
    assert told == 9  # ceil(3 log2 8)


def test_the_least_told_goes_first_and_a_batch_is_bounded() -> None:
    rumours = Rumours()
    for number in range(MAX_STATEMENTS + 3):
        rumours.add(suspect(f"peer-{number:02}", by="a"))
    first = rumours.batch(PeerId("z"), members=30)
    second = rumours.batch(PeerId("z"), members=30)
    assert len(first) == len(second) == MAX_STATEMENTS
    assert {one.subject for one in second} >= {PeerId(f"peer-{number:02}") for number in (8, 9, 10)}


def test_the_accused_is_told_before_anything_else() -> None:
    rumours = Rumours()
    for number in range(MAX_STATEMENTS):
        rumours.add(suspect(f"peer-{number}", by="a"))
    rumours.add(suspect("accused", by="a"))
    assert rumours.batch(PeerId("accused"), members=30)[0].subject == "accused"


def test_what_a_peer_said_of_itself_is_not_told_to_it_before_anything_else() -> None:
    rumours = Rumours()
    for number in range(MAX_STATEMENTS):
        rumours.add(suspect(f"peer-{number}", by="a"))
    rumours.add(alive("b", 5))
    assert "b" not in {one.subject for one in rumours.batch(PeerId("b"), members=30)}


def test_a_newer_incarnation_replaces_the_older_and_an_older_one_is_no_news() -> None:
    rumours = Rumours()
    assert rumours.add(alive("b", 5))
    assert not rumours.add(alive("b", 5))
    assert not rumours.add(alive("b", 4))
    assert rumours.add(alive("b", 6))
    assert [one.incarnation for one in rumours.batch(PeerId("c"), members=9)] == [6]


def test_a_refutation_silences_older_suspicions() -> None:
    rumours = Rumours()
    rumours.add(suspect("b", by="a", incarnation=4))
    rumours.add(suspect("b", by="c", incarnation=5))
    rumours.add(suspect("d", by="a", incarnation=4))
    rumours.add(alive("b", 4))
    rumours.forget(PeerId("b"), below=5)
    assert set(rumours.batch(PeerId("z"), members=9)) == {
        suspect("b", by="c", incarnation=5), suspect("d", by="a", incarnation=4), alive("b", 4),
    }  # fmt: skip


def test_a_flood_of_statements_takes_no_more_than_the_bound() -> None:
    rumours = Rumours()
    for number in range(4 * 256):
        rumours.add(suspect(f"peer-{number}", by="a"))
    assert len(rumours) == 256
