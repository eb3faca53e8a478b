"""Stop environments that are written in Python between two of their steps.

A rollout of a slow one may take minutes, and whoever wants to stop would wait for all of it.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from peer.early_signals import STOP_SIGNALS
from peer.errors import EnvStoppedError
from peer.types import Seconds

STEP_IN_PROGRESS = "the environment has ended the step that it is in"
"""What a stop waits for, in words."""

_SIGNAL_S: Seconds = 0.2
"""Ctrl-C goes to all processes of a terminal. A simulator with one of its own may fail of it before we have heard."""

_LOOK_S: Seconds = 0.02


class _Here(threading.local):
    """Of each thread: who is asked before a step, None: nobody."""

    asked: Callable[[], bool] | None = None


_here = _Here()


@contextmanager
def stoppable(asked: Callable[[], bool]) -> Iterator[None]:
    """Have environments that this thread steps raise EnvStoppedError instead of a further step once `asked()`.

    asked: called before every step of every environment, in this thread.
    """
    before, _here.asked = _here.asked, asked
    try:
        yield
    finally:
        _here.asked = before


def require_not_stopped() -> None:
    """Raises: EnvStoppedError."""
    if _here.asked is not None and _here.asked():
        raise EnvStoppedError


def require_not_stopped_by_now() -> None:
    """Look after an environment has failed, and wait a little for a signal that may be the cause.

    Raises: EnvStoppedError.
    """
    end = time.monotonic() + _SIGNAL_S
    require_not_stopped()
    while _here.asked is not None and not _is_main_thread() and time.monotonic() < end:
        time.sleep(_LOOK_S)
        require_not_stopped()


def require_no_interrupt_of_ours(error: BaseException) -> None:
    """Raise a KeyboardInterrupt that is the user's: signals come in the main thread, and in no other one."""
    if isinstance(error, KeyboardInterrupt) and _is_main_thread():
        raise error


@contextmanager
def keeping_signal_handlers() -> Iterator[None]:
    """Put back what a module or a constructor changes of how this program is stopped: simulators are often programs."""
    if not _is_main_thread():  # nobody can change them there
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
