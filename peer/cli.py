"""The command `murmur`, from its first moment on; what can be typed after it is in `peer.commands.table`."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from peer.early_signals import heeded
from peer.python_envs.open_envs import close_all

_STDOUT, _STDERR = 1, 2


def main() -> None:
    """Entry point of the console script."""
    _occupy_closed_streams()
    with _quiet_at_interrupt():
        from peer.commands.table import app  # takes a third of a second
    try:
        app(prog_name="murmur")
    finally:
        close_all()


def _occupy_closed_streams() -> None:
    """Have /dev/null stand for standard streams that were closed (`>&-`), as nobody looks out for there being none.

    Files of ours would get their numbers, too, and take in whatever a library prints.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = os.fdopen(_STDOUT, "w")


@contextmanager
def _quiet_at_interrupt() -> Iterator[None]:
    """End at Ctrl-C as the commands do: Python would show the traceback of whichever import it came in."""
    before = {number: signal.signal(number, _exit_interrupted) for number in heeded(signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_interrupted(number: int, _frame: object) -> NoReturn:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
