"""The heartbeat: it goes on whatever the disk says."""

from pathlib import Path

import trio
from trio.testing import MockClock

from peer.errors import StorageError
from peer.services.heartbeat import beat_forever
from peer.storage.heartbeat import Heartbeat
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.sink import RecordingSink
from tests.in_place import in_place


async def test_the_heartbeat_goes_on_when_the_disk_refuses_it(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    class Refusing(Heartbeat):
        beats = 0

        def beat(self) -> None:
            self.beats += 1
            raise StorageError("read-only file system")

    heartbeat, sink = Refusing(tmp_path), RecordingSink()
    nursery.start_soon(lambda: beat_forever(heartbeat, sink=sink, blocking=in_place))
    await trio.sleep(12.0)
    assert heartbeat.beats == 3
    assert {event.operation for event in sink.events if isinstance(event, StorageFailed)} == {"touch the heartbeat"}
