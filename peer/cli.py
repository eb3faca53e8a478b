"""The command `murmur`, from its first moment on; what can be typed after it is in `peer.commands.table`."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from peer.early_signals import heeded


def main() -> None:
    """Entry point of the console script."""
    with _quiet_at_interrupt():
        from peer.commands.table import app  # takes a third of a second
    app(prog_name="murmur")


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
