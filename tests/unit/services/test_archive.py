"""The archive: what must be on disk when, and that a disk which fails costs nothing but the disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from peer.errors import StorageError
from peer.rounds.effects import Effect, SnapshotApplied
from peer.rounds.entry import Entry
from peer.rounds.snapshot import decode_snapshot
from peer.services.archive import Archive
from peer.services.blocking import RunBlocking
from peer.storage.journal import Journal
from peer.storage.payloads import PayloadFolder
from peer.storage.snapshots import SnapshotStore
from peer.telemetry.disk_events import SnapshotSaved, StorageFailed, StorageRecovered
from peer.telemetry.sink import RecordingSink
from tests.unit.services.chains import RUN, SCHEMA, LoneChain, first_entry
from tests.unit.storage.journals import held


class Disk:
    """An archive on a real disk whose writes can be refused or delayed."""

    def __init__(
        self,
        folder: Path,
        *,
        snapshot_every: int = 5,
        save_model: Callable[[Entry], None] = lambda _: None,
        payloads: PayloadFolder | None = None,
    ) -> None:
        self.is_full = False
        self.write_s = 0.0
        self.writing = self.most_writing = 0
        self.sink = RecordingSink()
        self.journal_file = folder / "journal.sqlite"
        self.snapshots = SnapshotStore(folder / "snapshots", keep=3)
        blocking: RunBlocking = self._write
        self.archive = Archive(
            Journal(self.journal_file, max_bytes=1 << 24),
            self.snapshots,
            snapshot_every=snapshot_every,
            sink=self.sink,
            payloads=payloads,
            save_model=save_model,
            blocking=blocking,
        )

    async def _write(self, work: Callable[[], None]) -> None:
        self.writing += 1
        self.most_writing = max(self.most_writing, self.writing)
        await trio.sleep(self.write_s)
        self.writing -= 1
        if self.is_full:
            raise StorageError("no space left on device")
        work()

    def see(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.archive.observe(effect)

    def rounds(self) -> list[int]:
        return [entry.round for entry in held(self.journal_file)]

    def saved(self) -> list[int]:
        return [event.round for event in self.sink.events if isinstance(event, SnapshotSaved)]


async def test_every_manifest_is_journalled_and_every_fifth_state_saved(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    disk, chain = Disk(tmp_path), LoneChain()
    await nursery.start(disk.archive.serve)
    for _ in range(12):
        disk.see(chain.seal())
        await trio.sleep(0.1)
    assert disk.rounds() == list(range(1, 13))
    assert disk.saved() == [5, 10]
    newest = disk.snapshots.load_newest().snapshot
    assert newest is not None
    assert decode_snapshot(newest.content, run=RUN, schema=SCHEMA).round == 10


async def test_flush_saves_the_tip_and_what_is_pending(tmp_path: Path) -> None:
    disk, chain = Disk(tmp_path), LoneChain()
    for _ in range(3):
        disk.see(chain.seal())
    await disk.archive.flush(chain.machine.tip)
    assert disk.rounds() == [1, 2, 3]
    assert disk.saved() == [3]
    await disk.archive.flush(chain.machine.tip)
    assert disk.saved() == [3]  # it is there


async def test_flush_before_the_first_round_writes_nothing(tmp_path: Path) -> None:
    disk, chain = Disk(tmp_path), LoneChain()
    await disk.archive.flush(chain.machine.tip)
    assert disk.rounds() == []
    assert disk.saved() == []


async def test_a_change_of_branch_overwrites_the_rounds_that_were_left(tmp_path: Path) -> None:
    disk, chain = Disk(tmp_path, snapshot_every=1000), LoneChain()
    for _ in range(2):
        disk.see(chain.seal())
    other = chain.fork()
    for _ in range(3):
        disk.see(chain.seal(step=0.1))
    disk.see([effect for _ in range(2) for effect in other.seal(step=0.2)])
    await disk.archive.flush(other.machine.tip)
    assert disk.rounds() == [1, 2, 3, 4]
    assert held(disk.journal_file)[3].digest == other.machine.tip.digest
    newest = disk.snapshots.load_newest().snapshot
    assert newest is not None
    assert newest.digest == other.machine.tip.digest


async def test_an_adopted_snapshot_is_saved_at_once(tmp_path: Path) -> None:
    disk, chain = Disk(tmp_path), LoneChain()
    for _ in range(3):
        chain.seal()
    disk.see([SnapshotApplied(entry=chain.machine.tip, abandoned=first_entry())])
    await disk.archive._write_pending()
    assert disk.rounds() == [3]
    assert disk.saved() == [3]


async def test_what_a_full_disk_refused_is_written_when_there_is_space_again(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    disk, chain = Disk(tmp_path), LoneChain()
    await nursery.start(disk.archive.serve)
    for number in range(1, 13):
        disk.is_full = 3 <= number <= 10
        disk.see(chain.seal())
        await trio.sleep(0.1)
    failures = [event for event in disk.sink.events if isinstance(event, StorageFailed)]
    assert {failure.operation for failure in failures} == {"write the journal", "save a snapshot"}
    assert disk.rounds() == list(range(1, 13))
    assert disk.saved() == [10]
    recovered = [event for event in disk.sink.events if isinstance(event, StorageRecovered)]
    assert [event.operation for event in recovered] == ["write the journal", "save a snapshot"]
    assert disk.sink.events.index(recovered[0]) > disk.sink.events.index(failures[-1])


async def test_a_disk_that_never_works_costs_bounded_memory(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    disk, chain = Disk(tmp_path), LoneChain()
    disk.is_full = True
    await nursery.start(disk.archive.serve)
    effects = chain.seal()
    for _ in range(1500):
        disk.see(effects)
        await trio.sleep(0.001)
    assert len(disk.archive._pending) == 1024


async def test_a_slow_disk_delays_nobody_and_is_written_to_in_order(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    disk, chain = Disk(tmp_path), LoneChain()
    disk.write_s = 30.0
    await nursery.start(disk.archive.serve)
    for _ in range(8):
        disk.see(chain.seal())  # returns at once: an observer must not block
        await trio.sleep(2.0)
    await trio.sleep(200.0)
    assert disk.rounds() == list(range(1, 9))
    assert disk.most_writing == 1


async def test_payloads_of_rounds_that_waited_for_the_disk_are_all_kept_as_far_as_there_is_room(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    payloads = PayloadFolder(tmp_path / "payloads", max_bytes=1 << 20)
    disk, chain = Disk(tmp_path, payloads=payloads), LoneChain()
    disk.archive.take_payloads_from(chain.machine.blob)
    disk.write_s = 30.0
    await nursery.start(disk.archive.serve)
    for _ in range(12):
        disk.see(chain.seal())
        await trio.sleep(1.0)
    await trio.sleep(1000.0)
    assert [number for number in range(1, 13) if payloads.holds(number)] == list(range(5, 13))


@pytest.mark.parametrize("cancel_at_s", [0.0, 0.5, 1.0, 3.5, 4.5])
async def test_a_stop_while_writing_loses_nothing(
    cancel_at_s: float, tmp_path: Path, autojump_clock: MockClock
) -> None:
    payloads = PayloadFolder(tmp_path / "payloads", max_bytes=1 << 20)
    disk, chain = Disk(tmp_path, payloads=payloads), LoneChain()
    disk.archive.take_payloads_from(chain.machine.blob)
    disk.write_s = 1.0
    with trio.move_on_after(cancel_at_s + 1e-9):
        async with trio.open_nursery() as nursery:
            await nursery.start(disk.archive.serve)
            for _ in range(6):
                disk.see(chain.seal())
    await disk.archive.flush(chain.machine.tip)
    assert disk.rounds() == list(range(1, 7))
    assert [number for number in range(1, 7) if payloads.holds(number)] == list(range(1, 7))
    newest = disk.snapshots.load_newest().snapshot
    assert newest is not None
    assert newest.digest == chain.machine.tip.digest


async def test_model_that_cannot_be_left_costs_no_snapshot(tmp_path: Path) -> None:
    def refuse(_: Entry) -> None:
        raise StorageError("no space left on device")

    disk, chain = Disk(tmp_path, save_model=refuse), LoneChain()
    disk.see(chain.seal())
    await disk.archive.flush(chain.machine.tip)
    assert disk.saved() == [1]
    assert [event.operation for event in disk.sink.events if isinstance(event, StorageFailed)] == ["save the model"]
