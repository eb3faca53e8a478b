"""Who is late again and again is not waited for, until it is in time again."""

from peer.rounds.lateness import Lateness
from peer.types import PeerId


def test_who_misses_twice_is_not_waited_for_until_it_was_in_time_as_often() -> None:
    late = Lateness()
    slow, fast = PeerId("slow"), PeerId("fast")
    waited_for = []
    for in_time in ([fast], [fast], [fast, slow], [fast, slow], [fast, slow], [fast]):
        late.note(in_time, members=frozenset({slow, fast}), reachable=frozenset({slow, fast}))
        waited_for.append(slow not in late.late_peers())
        assert fast not in late.late_peers()
    assert waited_for == [True, False, False, True, True, False]


def test_who_cannot_be_reached_is_forgotten() -> None:
    late, members = Lateness(), frozenset({PeerId("a")})
    for _ in range(3):
        late.note([], members=members, reachable=members)
    assert late.late_peers() == members
    late.note([], members=frozenset(), reachable=members)
    assert late.late_peers() == members, "who only fell off the roster is still late"
    late.note([], members=members, reachable=frozenset())
    late.note([], members=members, reachable=members)
    assert late.late_peers() == frozenset()


def test_who_is_off_the_roster_and_silent_for_sixteen_rounds_is_no_late_peer_any_more() -> None:
    late, silent = Lateness(), frozenset({PeerId("a")})
    late.note([], members=silent, reachable=silent)
    for _ in range(14):
        late.note([], members=frozenset(), reachable=silent)
    assert late.late_peers() == silent
    late.note([], members=frozenset(), reachable=silent)
    assert late.late_peers() == frozenset()
    assert len(late) == 0


def test_a_member_that_misses_every_round_stays_late() -> None:
    late, member = Lateness(), frozenset({PeerId("a")})
    for _ in range(40):
        late.note([], members=member, reachable=member)
    assert late.late_peers() == member
