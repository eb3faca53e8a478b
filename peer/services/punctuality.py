"""A warning when the event loop runs late: the machine is short of CPU time, and everything else follows from that."""

import math
from typing import Never

import trio

from peer.telemetry.growing_pause import GrowingPause
from peer.telemetry.process_events import RunningLate
from peer.telemetry.rate_limit import QUIET_S
from peer.telemetry.sink import EventSink
from peer.types import Seconds

_NAP_S: Seconds = 0.25
WINDOW_S: Seconds = 10.0
TOO_LATE = 0.3
"""Part of the time that the loop is late. Eight peers on two cores are at 0.1; from a half on, rounds are missed."""

_REPEAT_S: Seconds = 60.0


async def watch_punctuality(sink: EventSink) -> Never:
    """Nap again and again, and add up by how much each nap was too long; what lasts is told ever more rarely."""
    late_at = -math.inf
    pause = GrowingPause(first_s=_REPEAT_S)
    while True:
        start, late_s, longest_s = trio.current_time(), 0.0, 0.0
        while (now := trio.current_time()) < start + WINDOW_S:
            await trio.sleep(_NAP_S)
            lateness_s = trio.current_time() - now - _NAP_S
            late_s += lateness_s
            longest_s = max(longest_s, lateness_s)
        window_s = now - start
        if late_s < TOO_LATE * window_s:
            continue
        if now - late_at >= QUIET_S:
            pause.forget()
        late_at = now
        if pause.is_over(now):
            pause.begin(now)
            sink.emit(RunningLate(late_s=late_s, longest_s=longest_s, window_s=window_s))
