"""What a process keeps of what happens in it: its log, the latest troubles, counters, and the names that it knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TextIO

from peer.telemetry.counters import Counters
from peer.telemetry.event import Level
from peer.telemetry.names import NameBook
from peer.telemetry.sink import LogSink
from peer.telemetry.trouble import TroubleKeeper


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLog:
    """The log of one process, and what status and services share of it.

    sink: takes every event; it writes the log, and remembers the troubles in it.
    """

    sink: TroubleKeeper
    names: NameBook
    counters: Counters


@contextmanager
def open_log(
    stream: TextIO, *, peer: str, output: Literal["text", "json"], level: Level, tells_time: bool = False
) -> Iterator[ProcessLog]:
    """Open the log of the process of `peer`, its name in it; what is held back is written at the end."""
    names, counters = NameBook(), Counters()
    sink = LogSink(stream, peer=peer, names=names, counters=counters, output=output, level=level, tells_time=tells_time)
    try:
        yield ProcessLog(sink=TroubleKeeper(sink, names=names), names=names, counters=counters)
    finally:
        sink.close()
