"""The sign of life for a health check: a file that is touched while the event loop turns."""

from typing import Never

import trio

from peer.services.blocking import RunBlocking, attempt, in_thread
from peer.storage.heartbeat import Heartbeat
from peer.telemetry.sink import EventSink
from peer.types import Seconds

_EVERY_S: Seconds = 5.0


async def beat_forever(heartbeat: Heartbeat, *, sink: EventSink, blocking: RunBlocking = in_thread) -> Never:
    while True:
        await attempt(heartbeat.beat, operation="touch the heartbeat", sink=sink, blocking=blocking)
        await trio.sleep(_EVERY_S)
