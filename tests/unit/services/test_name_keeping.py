"""Names are written when they change; a disk that takes none is told and tried again."""

from pathlib import Path

import trio
from trio.testing import MockClock

from peer.services.name_keeping import keep_names
from peer.storage.names_file import load_names
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.names import NameBook
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from tests.in_place import in_place


async def test_names_are_written_when_they_change_and_when_the_disk_takes_them_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    names, sink, folder = NameBook(), RecordingSink(), tmp_path / "run"
    folder.write_text("a file stands where the folder belongs")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: keep_names(names.known, folder, sink=sink, blocking=in_place))
        names.learn(PeerId("p1"), "host-1")
        await trio.sleep(15.0)
        assert [type(event) for event in sink.events] == [StorageFailed]
        folder.unlink()
        folder.mkdir()
        await trio.sleep(10.0)
        assert load_names(folder) == {"p1": "host-1"}
        names.learn(PeerId("p2"), "host-2")
        await trio.sleep(10.0)
        assert load_names(folder) == {"p1": "host-1", "p2": "host-2"}
        names.learn(PeerId("p3"), "host-3")
        nursery.cancel_scope.cancel()
    assert load_names(folder) == {"p1": "host-1", "p2": "host-2", "p3": "host-3"}, "also what came last"
