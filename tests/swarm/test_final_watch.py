"""The watch over finality itself: it must see what it is there for, and wait as long as it says."""

import pytest

from peer.network.identity import Identity
from peer.types import Digest
from tests.swarm.final_watch import FinalWatch
from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.swarm_member import Faults, Member


def two_that_differ() -> list[Member]:
    machine = MachineSwarm(1, seed=1).members[0].machine
    members = [Member(number=number, identity=Identity.for_tests(number + 1), machine=machine) for number in (0, 1)]
    for member in members:
        member.final = {6: Digest(b"alike"), 7: Digest(b"%d" % member.number)}
    return members


def test_two_that_have_met_long_enough_ago_and_differ_are_told_with_the_round() -> None:
    watch, members = FinalWatch(), two_that_differ()
    watch.rewired(5.0)
    found = {now: watch.look(members, Faults(), now) for now in (6.0, 13.0, 14.0)}
    assert found == {6.0: [], 13.0: [], 14.0: ["t=14.0: peers 0 and 1 differ in final round 7"]}


@pytest.mark.parametrize("cut", ["blocked", "deaf", "frozen"])
def test_two_that_cannot_talk_in_one_direction_may_differ(cut: str) -> None:
    watch, members, faults = FinalWatch(), two_that_differ(), Faults()
    watch.look(members, faults, 0.0)
    if cut == "frozen":
        members[1].paused_until = 21.0
    else:
        setattr(faults, cut, lambda a, b: (a, b) == (1, 0))
    assert watch.look(members, faults, 20.0) == []
