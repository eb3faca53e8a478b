"""Ctrl-C as a request: the running chunk ends, what was learned is saved, and the command ends well.

Environments that are written in Python stop between two steps, as a chunk of slow ones may take minutes.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self, TypeVar

import trio

from peer.early_signals import STOP_SIGNALS, heeded
from peer.errors import StorageError
from peer.python_envs.stopping import STEP_IN_PROGRESS, stoppable

T = TypeVar("T")

_ASKED = "murmur: stopping{when}, and saving what was learned; Ctrl-C once more ends at once, at the last evaluation\n"
_AGAIN_S = 0.5


class Interrupt:
    """While its `with` block lasts, a signal is noted; Ctrl-C some time after it ends the process at once.

    Only some time after, because `timeout` and terminals that close send one signal twice in a row. One that was
    ignored before, as SIGHUP under `nohup`, is ignored further on.
    """

    def __init__(self, at_last: Callable[[], None], *, python_env: bool = False) -> None:
        """at_last: what remains to be done before a second Ctrl-C ends the process; a StorageError of it is told.

        python_env: whether it is one that is waited for, of which nobody knows how long a step takes.
        """
        self._at_last = at_last
        self._asked = _ASKED.format(when=f" when {STEP_IN_PROGRESS}" if python_env else "").encode()
        self._requested_at: float | None = None
        self._before: dict[signal.Signals, object] = {}

    def requested(self) -> bool:
        return self._requested_at is not None

    def while_doing(self, work: Callable[[], T]) -> T:
        """Do `work` in another thread: in the one that Python handles signals in, they would wait for the core."""

        def stoppable_work() -> T:
            with stoppable(self.requested):
                return work()

        done: T = trio.run(trio.to_thread.run_sync, stoppable_work)
        return done

    def __enter__(self) -> Self:
        for number in heeded(*STOP_SIGNALS):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._requested_at is None:
            self._requested_at = now
            _say(self._asked)
        elif number == signal.SIGINT and now - self._requested_at >= _AGAIN_S:
            try:
                self._at_last()
            except StorageError as error:
                _say(f"murmur: {error}\n".encode())
            finally:
                _show_cursor()
                os._exit(128 + number)  # as a shell reports it; the thread in the core can be ended in no other way


def _say(text: bytes) -> None:
    with suppress(OSError, ValueError, AttributeError):  # stderr may be closed, or nobody there to read it
        os.write(sys.stderr.fileno(), text)


def _show_cursor() -> None:
    """Undo what a live display does to a terminal while it lasts."""
    if sys.stderr is not None and sys.stderr.isatty():
        _say(b"\x1b[?25h\n")
