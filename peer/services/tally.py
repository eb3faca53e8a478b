"""Tell how much was refused of what came in: hostile or broken bytes are counted where they arrive, and told here."""

import math
from typing import Never

import trio

from peer.network.transport import Transport
from peer.telemetry.counters import Counters
from peer.telemetry.peer_events import InputRefused
from peer.telemetry.rate_limit import LONGEST_S, QUIET_S
from peer.telemetry.sink import EventSink
from peer.types import Seconds


async def tell_refused_forever(
    transport: Transport, counters: Counters, *, period_s: Seconds, sink: EventSink
) -> Never:
    """Every `period_s`, emit the totals since the start if they have grown.

    What goes on for long, such as a health check that knocks at the port, is told ever more rarely.

    Messages alone come from peers that are told by name already: their number is told whenever it has doubled.
    """
    told = InputRefused(frames=0, streams=0, messages=0)
    pace = _Pace(period_s)
    while True:
        await trio.sleep(period_s)
        seen = _refused(transport.counters(), counters)
        pace.look(seen.frames + seen.streams, now=trio.current_time())
        if pace.is_due or seen.messages >= max(1, 2 * told.messages):
            sink.emit(seen)
            pace.tell(now=trio.current_time())
            told = seen


class _Pace:
    """When a total that grows is to be told: at once when it begins to, then after pauses that double."""

    def __init__(self, first_s: Seconds) -> None:
        self._first_s = self._pause_s = first_s
        self._total = self._told = 0
        self._grew_at = self._told_at = -math.inf
        self.is_due = False

    def look(self, total: int, *, now: Seconds) -> None:
        if total != self._total:
            self._total, self._grew_at = total, now
        elif now - self._grew_at >= QUIET_S:
            self._pause_s = self._first_s
        self.is_due = total != self._told and now - self._told_at >= self._pause_s

    def tell(self, *, now: Seconds) -> None:
        if self.is_due:
            self._pause_s = min(2 * self._pause_s, LONGEST_S)
        self._told, self._told_at = self._total, now


def _refused(network: dict[str, int], own: Counters) -> InputRefused:
    return InputRefused(
        frames=network.get("frames_refused", 0) + network.get("floods_refused", 0),
        streams=network.get("protocol_errors", 0) + network.get("handler_errors", 0),
        messages=sum(own.refusals().values()),
    )
