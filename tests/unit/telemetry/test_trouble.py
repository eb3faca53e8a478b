"""The keeper of warnings: bounded, newest first, no flood hides another trouble."""

from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.names import NameBook
from peer.telemetry.peer_events import InputRefused
from peer.telemetry.process_events import LookingFor, RunningLate
from peer.telemetry.round_events import TrainingDiverged
from peer.telemetry.sink import RecordingSink
from peer.telemetry.trouble import KEPT, TroubleKeeper


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_it_passes_everything_on_and_keeps_only_trouble() -> None:
    sink = RecordingSink()
    keeper = TroubleKeeper(sink, names=NameBook(), clock=Clock())
    events = [LookingFor(targets=()), StorageFailed(operation="save", cause="disk full")]
    for event in events:
        keeper.emit(event)
    assert sink.events == events
    ((age, trouble),) = keeper.latest()
    assert (age, trouble.level) == (1.0, "error")
    assert "disk full" in trouble.text


def test_a_repeated_trouble_moves_to_the_front_and_hides_nothing() -> None:
    keeper = TroubleKeeper(RecordingSink(), names=NameBook(), clock=Clock())
    keeper.emit(StorageFailed(operation="save", cause="rare"))
    for _ in range(1000):
        keeper.emit(StorageFailed(operation="save", cause="flood"))
    assert [("flood" in trouble.text, "rare" in trouble.text) for _, trouble in keeper.latest()] == [
        (True, False),
        (False, True),
    ]


def test_totals_that_grow_take_one_place() -> None:
    keeper = TroubleKeeper(RecordingSink(), names=NameBook(), clock=Clock())
    keeper.emit(StorageFailed(operation="save", cause="rare"))
    for number in range(1, 2 * KEPT):
        keeper.emit(InputRefused(frames=number, streams=0, messages=0))
        keeper.emit(RunningLate(late_s=float(number), longest_s=0.5, window_s=10.0))
        keeper.emit(TrainingDiverged(round=number, cause=f"{number} is infinite", env_steps=number))
    assert len(keeper.latest()) == 4
    assert f"{2 * KEPT - 1} is infinite" in keeper.latest()[0][1].text
    assert f"late for {2 * KEPT - 1}.0 s" in keeper.latest()[1][1].text


def test_it_is_bounded() -> None:
    keeper = TroubleKeeper(RecordingSink(), names=NameBook(), clock=Clock())
    for number in range(5 * KEPT):
        keeper.emit(StorageFailed(operation="save", cause=f"cause {number}"))
    assert len(keeper.latest()) == KEPT
    assert f"cause {5 * KEPT - 1}" in keeper.latest()[0][1].text
