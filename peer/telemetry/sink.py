"""Where events end: a log on a stream, or a list in tests. A broken log never stops a peer."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, Protocol, TextIO

from peer.telemetry.counters import Counters
from peer.telemetry.event import LEVELS, Event, Level, RepeatedEvent
from peer.telemetry.json_format import JsonFormat
from peer.telemetry.line_writer import LineWriter
from peer.telemetry.names import NameBook
from peer.telemetry.rate_limit import RateLimit
from peer.telemetry.text_format import TextFormat
from peer.types import Seconds

REPEAT_PERIOD_S = 10.0
"""At most one line of a kind in this time: a flood reads as one fact, and is still noticed soon."""


class EventSink(Protocol):
    def emit(self, event: Event) -> None:
        """Take an event. Never raises, never blocks for long."""


class LogSink:
    """Writes events of a level and above as text or JSON, one line each, flushed at once.

    Repeated events are rate-limited. Lines that a slow or closed stream costs (see `LineWriter`) are counted in
    `counters` as `log_lines_lost`.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        peer: str,
        names: NameBook,
        counters: Counters,
        output: Literal["text", "json"] = "text",
        level: Level = "info",
        tells_time: bool = False,
        clock: Callable[[], Seconds] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """tells_time: begin each line of text with `now`; a line of JSON always has it."""
        self.peer = peer
        self._lines = LineWriter(stream)
        self._lost_counted = 0
        self._counters = counters
        self._output = output
        self._lowest = LEVELS.index(level)
        self._clock = clock
        self._now = now
        self._tells_time = tells_time
        self._text = TextFormat(names=names)
        self._json = JsonFormat(names=names)
        self._repeats = RateLimit(period_s=REPEAT_PERIOD_S)

    def emit(self, event: Event) -> None:
        self._lines.flush()
        now = self._clock()
        for held in self._repeats.due(now=now):
            self._write(held)
        if not self._wanted(event):
            return
        if not isinstance(event, RepeatedEvent):
            self._write(event)
        elif (admitted := self._repeats.admit(event, now=now)) is not None:
            for held in self._repeats.overtaken(event):
                self._write(held)
            self._write(admitted)

    def close(self) -> None:
        """Tell what the rate limit still holds. The stream stays open: it belongs to the caller."""
        for held in self._repeats.rest():
            self._write(held)

    def _wanted(self, event: Event) -> bool:
        hidden = event.for_machines and self._output == "text" and self._lowest > 0
        return LEVELS.index(event.level) >= self._lowest and not hidden

    def _write(self, event: Event) -> None:
        if self._output == "json":
            line = self._json.line(event, peer=self.peer, time=self._now())
        else:
            line = self._text.line(event, peer=self.peer)
            if self._tells_time:
                line = f"{self._now():%Y-%m-%d %H:%M:%S}Z {line}"
        self._lines.write(line)
        self._count_lost()

    def _count_lost(self) -> None:
        if self._lines.lost > self._lost_counted:
            self._counters.add("log_lines_lost", self._lines.lost - self._lost_counted)
            self._lost_counted = self._lines.lost


class RecordingSink:
    """Keeps events in memory, for tests and the simulator; beyond `limit` the oldest half is forgotten."""

    def __init__(self, *, limit: int = 100_000) -> None:
        self.events: list[Event] = []
        self._limit = limit

    def emit(self, event: Event) -> None:
        if len(self.events) >= self._limit:
            del self.events[: self._limit // 2]
        self.events.append(event)
