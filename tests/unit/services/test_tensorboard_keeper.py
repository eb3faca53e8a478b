"""The service that writes a peer's figures: what comes through it, and what a failing disk costs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from trio.testing import wait_all_tasks_blocked

from peer.services import tensorboard
from peer.services.tensorboard import TensorBoardKeeper
from peer.telemetry.disk_events import StorageFailed, StorageRecovered
from peer.telemetry.event_files import EventFileWriter
from peer.telemetry.round_scalars import RoundScalars
from peer.telemetry.scalar_tags import LossWeights
from peer.telemetry.sink import RecordingSink
from tests.event_reader import read_scalars
from tests.in_place import in_place
from tests.unit.telemetry.samples import round_sealed


class Made:
    def __init__(self, folder: Path) -> None:
        self.sink = RecordingSink()
        self.traffic = {"bytes_sent": 0, "bytes_received": 0}
        self.keeper = TensorBoardKeeper(
            EventFileWriter(folder, begins_at=0, texts={}),
            RoundScalars(LossWeights(entropy_coef=0.0, value_coef=0.5, kl_penalty=0.0)),
            sink=self.sink,
            traffic=lambda: self.traffic,
            blocking=in_place,
        )

    def seals(self, number: int) -> None:
        self.keeper.emit(round_sealed(round=number, env_steps=100 * number, mean_return=float(number)))


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Made]:
    made = Made(folder)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.keeper.serve)
        yield made
        nursery.cancel_scope.cancel()


async def test_rounds_are_passed_on_and_written_with_the_traffic_of_each(tmp_path: Path) -> None:
    async with serving(tmp_path) as made:
        made.keeper.take_lag_from(lambda: 2)
        for number in (1, 2):
            made.traffic = {"bytes_sent": 1000 * number, "bytes_received": 100}
            made.seals(number)
            await wait_all_tasks_blocked()
        assert len(made.sink.events) == 2
    read = read_scalars(tmp_path)
    assert read["swarm/return"] == {100: 1.0, 200: 2.0}
    assert read["network/sent_bytes"] == {100: 1000.0, 200: 1000.0}
    assert read["network/received_bytes"] == {100: 100.0, 200: 0.0}
    assert read["swarm/rounds_not_final"] == {100: 2.0, 200: 2.0}


async def test_a_disk_that_refuses_is_told_each_time_and_gets_all_when_it_takes_writes_again(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    async with serving(tmp_path / "run") as made:
        for number in (1, 2):
            made.seals(number)
            await wait_all_tasks_blocked()
        failed = [event for event in made.sink.events if isinstance(event, StorageFailed)]
        assert [event.operation for event in failed] == ["write TensorBoard files"] * 2
        assert "a file stands where a folder is needed" in failed[0].cause
        (tmp_path / "run").unlink()
        made.seals(3)
        await wait_all_tasks_blocked()
        assert made.sink.events[-1] == StorageRecovered(operation="write TensorBoard files")
        made.seals(4)
        await wait_all_tasks_blocked()
        assert sum(isinstance(event, StorageRecovered) for event in made.sink.events) == 1
    assert read_scalars(tmp_path / "run")["swarm/return"] == {100: 1.0, 200: 2.0, 300: 3.0, 400: 4.0}


async def test_a_disk_that_refuses_for_long_costs_the_oldest_points(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    async with serving(tmp_path / "run") as made:
        for number in range(1, tensorboard._MAX_PENDING + 3):
            made.seals(number)
        await wait_all_tasks_blocked()
        (tmp_path / "run").unlink()
        made.seals(number + 1)
        await wait_all_tasks_blocked()
    shown = read_scalars(tmp_path / "run")["swarm/round"]
    assert len(shown) == tensorboard._MAX_PENDING
    assert max(shown.values()) == number + 1


async def test_the_end_of_a_life_writes_what_no_point_had_yet(tmp_path: Path) -> None:
    async with serving(tmp_path) as made:
        made.seals(5000)
        made.seals(5001)
        await wait_all_tasks_blocked()
    assert list(read_scalars(tmp_path)["swarm/round"].values()) == [5000.0]
    await made.keeper.save()
    assert list(read_scalars(tmp_path)["swarm/round"].values()) == [5000.0, 5001.0]
