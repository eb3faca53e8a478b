"""The logs of several processes on one stream, line by line, each under its peer's name."""

import os
import sys
import threading
from collections.abc import Callable
from typing import IO, Literal

from peer.telemetry.spare_stream import spare_stderr

_COLOURS = (36, 33, 32, 35, 34, 31, 96, 93)
_MESSAGE = "murmur: "
"""Begins what a command says when it cannot start, on stderr and outside the log."""


class InterleavedLog:
    """Writes to stdout, from as many threads as there are processes."""

    def __init__(self, output: Literal["text", "json"], *, on_closed: Callable[[], None]) -> None:
        """output: of the processes. on_closed: called when nobody reads any more, as in `murmur up | head`."""
        self._output = output
        self._on_closed = on_closed
        self._lock = threading.Lock()

    def copy(self, stream: IO[str], name: str, number: int) -> None:
        """Print a process's lines as they come. They begin with its name, except why it could not start.

        number: of the process, which gives it a colour on a terminal.
        """
        colour = _COLOURS[number % len(_COLOURS)] if _wants_colour() else None
        for line in stream:
            text = line.rstrip("\n")
            if text.startswith(_MESSAGE):
                self._pass_on(text.removeprefix(_MESSAGE), name)
                continue
            own, separator, rest = text.partition("|")
            if colour is not None and separator:
                own = f"\x1b[{colour}m{own}\x1b[0m"
            self._write(f"{own}{separator}{rest}")

    def say(self, text: str) -> None:
        """Print a line of our own; where every line is an object that a peer wrote, on stderr."""
        if self._output == "text":
            self._write(f"{'murmur':6} | {text}")
        else:
            spare_stderr().write(f"{_MESSAGE}{text}\n")

    def _pass_on(self, message: str, name: str) -> None:
        if self._output == "text":
            self._write(f"{name:6} | error: {message}")
        else:
            self.say(f"{name}: {message}")

    def _write(self, line: str) -> None:
        with self._lock:
            try:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            except (BrokenPipeError, ValueError):
                self._on_closed()
            except OSError:
                return  # a full disk costs the log, not the swarm


def _wants_colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
