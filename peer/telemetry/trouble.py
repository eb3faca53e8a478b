"""The latest warnings and errors, kept for whoever asks the running peer what is wrong."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from peer.telemetry.event import LEVELS, Event, Level
from peer.telemetry.names import NameBook
from peer.telemetry.sentences import sentence
from peer.telemetry.sink import EventSink
from peer.types import Seconds

KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One warning or error of the log.

    at: on the keeper's clock. text: as in the log, without prefix; safe to print.
    """

    at: Seconds
    level: Level
    text: str


class TroubleKeeper:
    """An `EventSink` that passes everything on and remembers the last KEPT warnings and errors.

    The same trouble again, or a total that has grown, replaces its older entry, so that a flood of one kind does not
    hide the others.
    """

    def __init__(self, sink: EventSink, *, names: NameBook, clock: Callable[[], Seconds] = time.monotonic) -> None:
        self._sink = sink
        self._names = names
        self._clock = clock
        self._kept: dict[str, Trouble] = {}

    def emit(self, event: Event) -> None:
        self._sink.emit(event)
        if LEVELS.index(event.level) >= LEVELS.index("warning"):
            text = sentence(event, self._names)
            key = type(event).__name__ if event.supersedes else text
            self._kept.pop(key, None)
            self._kept[key] = Trouble(at=self._clock(), level=event.level, text=text)
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]

    def latest(self) -> list[tuple[Seconds, Trouble]]:
        """Return what is remembered, newest first, each with its age."""
        now = self._clock()
        return [(now - trouble.at, trouble) for trouble in reversed(self._kept.values())]
