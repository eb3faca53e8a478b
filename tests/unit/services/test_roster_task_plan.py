"""The task plan of one peer: what it trains on, and what it tells about who trains on what."""

from peer.services.task_plan import RosterTaskPlan
from peer.telemetry.names import NameBook
from peer.telemetry.round_events import TaskMoved, TasksAssigned
from peer.telemetry.sink import RecordingSink
from peer.types import EnvTask, PeerId
from peer.wire.messages import RosterEntry

PEERS = [PeerId(f"id-of-peer-{number}") for number in range(4)]
TASKS = [EnvTask(task_id=f"task-{number}", params=(), seed_start=0, seed_end=9) for number in range(16)]


def roster(*peers: PeerId, speed: int = 1000) -> tuple[RosterEntry, ...]:
    return tuple(RosterEntry(peer, 0, speed, 1) for peer in peers)


class Plan:
    def __init__(self, me: PeerId, *, tasks: list[EnvTask] = TASKS) -> None:
        self.sink = RecordingSink()
        names = NameBook()
        for number, peer in enumerate(PEERS):
            names.learn(peer, f"peer-{number}")
        self.plan = RosterTaskPlan(me, tasks, sink=self.sink, names=names)

    def mine(self, round_number: int, *peers: PeerId, speed: int = 1000) -> set[str]:
        return {task.task_id for task in self.plan.tasks_for(round_number, roster(*peers, speed=speed))}

    def moved(self) -> list[TaskMoved]:
        return [event for event in self.sink.events if isinstance(event, TaskMoved)]

    def assigned(self) -> list[TasksAssigned]:
        return [event for event in self.sink.events if isinstance(event, TasksAssigned)]


def test_the_plans_of_all_members_share_the_tasks_out_without_overlap() -> None:
    plans = {peer: Plan(peer) for peer in PEERS}
    shares = {peer: plan.mine(5, *PEERS) for peer, plan in plans.items()}
    owned = [shares[peer] for peer, plan in plans.items() if not plan.assigned()[-1].helping]
    assert sum(len(share) for share in owned) == len(TASKS)
    assert set().union(*owned) == {task.task_id for task in TASKS}


def test_before_the_first_seal_a_peer_trains_on_everything() -> None:
    plan = Plan(PEERS[0])
    assert len(plan.mine(1)) == len(TASKS)
    assert plan.moved() == []


def test_a_newcomer_plans_as_if_it_were_on_the_roster_and_tells_nothing_false() -> None:
    newcomer, member = Plan(PEERS[3]), Plan(PEERS[3])
    assert newcomer.mine(5, *PEERS[:3]) == member.mine(5, *PEERS)
    assert newcomer.moved() == []
    assert newcomer.mine(6, *PEERS) == member.mine(6, *PEERS)
    assert len(newcomer.assigned()) == 1  # being sealed in changed nothing for it


def test_what_moves_is_told_with_the_reason() -> None:
    plan = Plan(PEERS[0])
    plan.mine(5, *PEERS)
    plan.mine(6, *PEERS[:3])
    left = [event for event in plan.moved() if event.previous_owner == PEERS[3]]
    assert {event.why for event in left} == {"peer-3 left"}
    assert {event.task for event in left} == Plan(PEERS[3]).mine(5, *PEERS)
    assert {event.why for event in plan.moved() if event not in left} == {"to even the shares out"}
    told = len(plan.moved())
    plan.mine(7, *PEERS)
    assert "peer-3 joined" in {event.why for event in plan.moved()[told:]}
    told = len(plan.moved())
    entries = [RosterEntry(peer, 0, 1000 if peer == PEERS[0] else 8000, 1) for peer in PEERS]
    plan.plan.tasks_for(8, tuple(entries))
    assert {event.why for event in plan.moved()[told:]} == {"a measured speed changed"}


def test_nothing_is_told_while_nothing_changes() -> None:
    plan = Plan(PEERS[0])
    for round_number in range(100):
        plan.mine(round_number, *PEERS, speed=1000 + round_number % 20)  # within a factor of two: the same class
    assert len(plan.sink.events) == 1


def test_a_peer_that_owns_nothing_helps_and_says_so() -> None:
    helpers = []
    for peer in PEERS:
        plan = Plan(peer, tasks=TASKS[:2])
        assert plan.mine(5, *PEERS)
        helpers.append(plan.assigned()[-1].helping)
    assert sum(helpers) in (2, 3)


def test_of_one_task_nothing_is_told_but_what_it_is() -> None:
    plan = Plan(PEERS[0], tasks=TASKS[:1])
    for round_number, members in enumerate([(), PEERS, PEERS[:2], PEERS[1:], PEERS]):
        assert plan.mine(round_number, *members) == {"task-0"}
    assert [event.tasks for event in plan.assigned()] == [("task-0",)]
    assert plan.moved() == []
