"""What changed hands, and the reason given for it."""

from peer.tasks.assignment import Assignment, Share
from peer.tasks.moves import Move, moves
from peer.types import PeerId

A, B, C = PeerId("a"), PeerId("b"), PeerId("c")


def assignment(owners: dict[str, PeerId], *roster: PeerId) -> Assignment:
    shares = tuple(Share(task=task, owner=owner, helpers=()) for task, owner in sorted(owners.items()))
    return Assignment(shares=shares, roster=roster)


def test_start_lists_every_task_as_new() -> None:
    assert moves(None, assignment({"x": A, "y": B}, A, B)) == [
        Move(task="x", previous_owner=None, new_owner=A, reason="new_task"),
        Move(task="y", previous_owner=None, new_owner=B, reason="new_task"),
    ]


def test_nothing_moved_gives_nothing() -> None:
    same = assignment({"x": A}, A, B)
    assert moves(same, assignment({"x": A}, A, B, C)) == []


def test_reason_is_the_first_that_explains_the_move() -> None:
    before = assignment({"left": A, "joined": B, "speed": B, "ended": B}, A, B)
    after = assignment({"left": C, "joined": C, "speed": C, "new": B}, B, C)
    assert {move.task: move.reason for move in moves(before, after)} == {
        "left": "owner_left",
        "joined": "peer_joined",
        "speed": "peer_joined",
        "ended": "task_ended",
        "new": "new_task",
    }
    evened = assignment({"speed": A}, A, B, C)
    assert moves(assignment({"speed": B}, A, B), evened)[0].reason == "shares_evened"
    faster = assignment({"left": B}, A, B)
    assert moves(assignment({"left": A}, A, B), faster)[0].reason == "speed_changed"
