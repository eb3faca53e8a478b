"""What this peer trains on: the rule of `peer.tasks` over the sealed roster, and the news of it for the log."""

from collections.abc import Sequence

from peer.rounds.roster import Roster
from peer.tasks.assignment import Assignment, assign, weight_class
from peer.tasks.moves import Move, moves
from peer.telemetry.names import NameBook
from peer.telemetry.round_events import TaskMoved, TasksAssigned
from peer.telemetry.sink import EventSink
from peer.types import EnvTask, PeerId


class RosterTaskPlan:
    """Implements `TaskPlan` of the trainer. Every peer computes the same assignment from the same roster."""

    def __init__(self, me: PeerId, tasks: Sequence[EnvTask], *, sink: EventSink, names: NameBook) -> None:
        self._me = me
        self._tasks = {task.task_id: task for task in tasks}
        self._sink = sink
        self._names = names
        self._agreed: Assignment | None = None
        self._mine: tuple[str, ...] = ()
        self._helping = False

    def tasks_for(self, round_number: int, roster: Roster) -> tuple[EnvTask, ...]:
        """Return this peer's tasks for the round, sorted; a peer that is not on the roster yet plans as if it were."""
        members = [(PeerId(entry.peer), weight_class(entry.steps_per_s)) for entry in roster]
        if members:
            self._tell_moves(round_number, assign(self._tasks, members))
        if self._me not in {peer for peer, _ in members}:
            typical = sorted(weight for _, weight in members)[len(members) // 2] if members else 1
            members.append((self._me, typical))
        assignment = assign(self._tasks, members)
        mine = assignment.tasks_of(self._me)
        helping = assignment.is_helper(self._me) and len(self._tasks) > 1
        if (mine, helping) != (self._mine, self._helping):
            self._mine, self._helping = mine, helping
            self._sink.emit(TasksAssigned(round=round_number, tasks=mine, helping=helping))
        return tuple(self._tasks[task] for task in mine)

    def _tell_moves(self, round_number: int, assignment: Assignment) -> None:
        """Say what changed hands. With one task there is nothing to share out and nothing to tell."""
        if self._agreed is not None and len(self._tasks) > 1:
            for move in moves(self._agreed, assignment):
                self._sink.emit(
                    TaskMoved(
                        round=round_number,
                        task=move.task,
                        previous_owner=move.previous_owner,
                        new_owner=move.new_owner,
                        why=self._why(move),
                    )
                )
        self._agreed = assignment

    def _why(self, move: Move) -> str:
        if move.reason == "owner_left" and move.previous_owner is not None:
            return f"{self._names.name_of(move.previous_owner)} left"
        if move.reason == "peer_joined" and move.new_owner is not None:
            return f"{self._names.name_of(move.new_owner)} joined"
        others = {
            "shares_evened": "to even the shares out",
            "speed_changed": "a measured speed changed",
            "new_task": "it is new",
        }
        return others.get(move.reason, "it ended")
