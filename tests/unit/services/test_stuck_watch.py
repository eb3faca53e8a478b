"""The watch: silent while a round takes its usual time, then a line every so often that says on whom it hangs."""

import trio
from trio.testing import MockClock

from peer.rounds.effects import SealingPaused, SealingResumed
from peer.services.stuck_watch import StuckWatch
from peer.telemetry.names import NameBook
from peer.telemetry.process_events import Waiting
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from tests.unit.services.chains import ME, LoneChain, work

ALICE, BOB = PeerId("alice-id"), PeerId("bob-id")


class Scene:
    def __init__(self, *, every_s: float = 5.0) -> None:
        self.chain = LoneChain()
        self.sink = RecordingSink()
        names = NameBook()
        names.learn(ALICE, "alice")
        names.learn(BOB, "bob")
        self.watch = StuckWatch(
            self.chain.machine, me=ME.peer_id, train_s=2.0, every_s=every_s, sink=self.sink, names=names
        )
        self.watch.observe(self.chain.opened())

    def waiting(self) -> list[tuple[str, int]]:
        return [(event.what, round(event.since_s)) for event in self.sink.events if isinstance(event, Waiting)]


async def test_it_speaks_five_seconds_after_the_training_time_and_then_ever_more_rarely(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene()
    nursery.start_soon(scene.watch.serve)
    await trio.sleep(6.5)
    assert scene.waiting() == []
    await trio.sleep(40.0)
    assert [what for what, _ in scene.waiting()] == ["its own training"] * 3
    assert [since for _, since in scene.waiting()] == [5, 15, 35]
    await trio.sleep(4 * 3600.0)
    assert len(scene.waiting()) == 30, "once in ten minutes"


async def test_it_never_speaks_more_often_than_it_was_told_to(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    scene = Scene(every_s=3600.0)
    nursery.start_soon(scene.watch.serve)
    await trio.sleep(3.5 * 3600.0)
    assert [since for _, since in scene.waiting()] == [3600, 7200, 10800]


async def test_a_new_round_begins_the_count_anew(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    scene = Scene()
    nursery.start_soon(scene.watch.serve)
    for _ in range(10):
        await trio.sleep(6.0)
        scene.watch.observe(scene.chain.opened())
    assert scene.waiting() == []


async def test_it_tells_for_how_long_a_round_has_been_open(autojump_clock: MockClock) -> None:
    """Training time included: whoever watches a peer from outside sees by it that the rounds go on."""
    scene = Scene()
    await trio.sleep(60.0)
    assert scene.watch.open_s() == 60.0
    scene.watch.observe(scene.chain.opened())
    assert scene.watch.open_s() == 0.0


async def test_it_names_all_whose_deltas_are_missing(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    scene = Scene()
    machine = scene.chain.machine
    nursery.start_soon(scene.watch.serve)
    machine.reachable(frozenset({BOB, ALICE}), 0.0)
    await trio.sleep(8.5)
    assert scene.waiting()[0][0] == "its own training"  # what it can do something about comes first
    scene.chain.effects += machine.announce(work(machine.tip), 0.0)  # for the machine no time has passed: it waits
    await trio.sleep(11.0)
    assert scene.waiting()[1][0] == "the deltas of alice, bob"


async def test_a_minority_of_a_strict_swarm_waits_for_a_majority_and_not_for_its_own_seal() -> None:
    scene = Scene()
    before = scene.watch.waiting_for()
    scene.watch.observe(SealingPaused(round=9, reachable=1, roster=3))
    assert scene.watch.waiting_for() == "a majority of the roster to be in reach (round.partition: strict)"
    scene.watch.observe(SealingResumed(round=9))
    assert scene.watch.waiting_for() == before


async def test_a_finished_run_waits_for_nothing(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    scene = Scene()
    nursery.start_soon(scene.watch.serve)
    scene.chain.machine.tip.stop = "rounds"
    await trio.sleep(60.0)
    assert scene.waiting() == []
