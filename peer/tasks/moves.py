"""What changed hands between two assignments, and why."""

from dataclasses import dataclass
from typing import Literal

from peer.tasks.assignment import Assignment, Share
from peer.types import PeerId

Reason = Literal["new_task", "task_ended", "owner_left", "peer_joined", "shares_evened", "speed_changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One task that changed hands. previous_owner: None for a new task; new_owner: None for one that ended."""

    task: str
    previous_owner: PeerId | None
    new_owner: PeerId | None
    reason: Reason


def moves(before: Assignment | None, after: Assignment) -> list[Move]:
    """Return every task whose owner differs, sorted by task. before: None at the start of the run."""
    old = {} if before is None else {share.task: share for share in before.shares}
    new = {share.task: share for share in after.shares}
    found = []
    for task in sorted(old.keys() | new.keys()):
        previous, current = _owner(old.get(task)), _owner(new.get(task))
        if previous != current:
            reason = _reason(previous, current, before, after)
            found.append(Move(task=task, previous_owner=previous, new_owner=current, reason=reason))
    return found


def _owner(share: Share | None) -> PeerId | None:
    return None if share is None else share.owner


def _reason(previous: PeerId | None, current: PeerId | None, before: Assignment | None, after: Assignment) -> Reason:
    if previous is None:
        return "new_task"
    if current is None:
        return "task_ended"
    if previous not in after.roster:
        return "owner_left"
    if before is not None and current not in before.roster:
        return "peer_joined"
    if before is not None and before.roster != after.roster:
        return "shares_evened"
    return "speed_changed"
