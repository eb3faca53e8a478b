"""When the optimizer state is taken and written; the trainer, which must not wait for a disk, is a real one."""

from collections.abc import Callable
from pathlib import Path

import trio
from trio.testing import MockClock

from peer.services.training_state import TrainingStateKeeper
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.sink import RecordingSink
from tests.in_place import in_place
from tests.unit.services.school import StepAgent, school


async def test_state_is_taken_between_rounds_and_never_while_training(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with school(state_file=tmp_path / "state") as made:
        made.opens(1)
        await trio.sleep(1.0)
        made.seals(10)
        await trio.sleep(0.5)
        assert made.agent.reads == 0
        await trio.sleep(1.0)
        assert made.agent.reads == 1
        assert (tmp_path / "state").read_bytes() == b"state 1"
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600


async def test_state_is_written_as_seldom_as_the_model(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with school(state_file=tmp_path / "state") as made:
        for number in (9, 10, 11):
            made.seals(number)
            made.opens(number + 1)
            await trio.sleep(3.0)
        assert made.agent.reads == 1


async def test_training_does_not_wait_for_a_slow_disk_which_gets_the_newest_state(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    agent, written = StepAgent(), list[bytes]()

    async def slow_disk(work: Callable[[], None]) -> None:
        reads = agent.reads
        work()
        if agent.reads == reads:  # it was the disk that had work
            written.append((tmp_path / "state").read_bytes())
            await trio.sleep(10.0)

    async with school(state_file=tmp_path / "state", blocking=slow_disk, agent=agent) as made:
        for number in (10, 20, 30, 40):
            made.seals(number)
            made.opens(number + 1)
            await trio.sleep(2.2)
        assert [round(at, 1) for at, _ in made.announced] == [2.0, 4.2, 6.4, 8.6]
        await trio.sleep(30.0)
        assert written == [b"state 1", b"state 4"]


async def test_a_disk_that_refuses_the_state_costs_the_state_only(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with school(state_file=tmp_path / "missing" / "state") as made:
        made.seals(10)
        made.opens(1)
        await trio.sleep(3.0)
        made.opens(3)
        await trio.sleep(3.0)
        (failed,) = [event for event in made.sink.events if isinstance(event, StorageFailed)]
        assert failed.operation == "save training state"
        assert "missing" in failed.cause
        assert len(made.announced) == 2


async def test_the_end_of_a_life_writes_the_last_state_and_not_one_that_waited(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "state"
    keeper = TrainingStateKeeper(StepAgent(), path, every=10, sink=RecordingSink(), blocking=in_place)
    await keeper.save()
    assert path.read_bytes() == b"state 1"
    await keeper.save()
    assert path.read_bytes() == b"state 2"
