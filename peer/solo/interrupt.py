"""Ctrl-C as a request: the running chunk ends, what was learned is saved, and the command ends well."""

import signal
from types import FrameType, TracebackType
from typing import Self


class Interrupt:
    """While its `with` block lasts, SIGINT and SIGTERM are noted instead of ending the process."""

    def __init__(self) -> None:
        self._requested = False
        self._before: dict[signal.Signals, object] = {}

    def requested(self) -> bool:
        return self._requested

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True
