"""Write lines to a stream that may be slow, full or gone, without ever holding up the caller."""

import errno
import os
import select
from collections import deque
from typing import TextIO

MAX_BACKLOG = 1000
"""Lines kept for a reader that has stopped reading (a paused terminal, a stalled log driver); then the oldest go."""


class LineWriter:
    """Writes lines in order and flushes each.

    A pipe or terminal that is full is not waited for: its lines wait here, MAX_BACKLOG at most. A closed pipe
    ends the writing for good. Any other write error loses that line. Lost lines are counted in `lost`.
    Departure: a line longer than PIPE_BUF (4096 bytes) may still wait for a pipe that is almost full.
    """

    def __init__(self, stream: TextIO) -> None:
        self.lost = 0
        self._stream = stream
        self._backlog: deque[str] = deque()
        self._closed = False
        self._poll = _poll_for(stream)

    def write(self, line: str) -> None:
        """Take one line, without its line end. Never raises, never blocks."""
        self._backlog.append(line)
        if len(self._backlog) > MAX_BACKLOG:
            self._backlog.popleft()
            self.lost += 1
        self.flush()

    def flush(self) -> None:
        """Write what the stream takes now."""
        while self._backlog and (self._closed or self._takes_a_line()):
            line = self._backlog.popleft()
            if self._closed or not self._written(line):
                self.lost += 1

    def _takes_a_line(self) -> bool:
        return self._poll is None or bool(self._poll.poll(0))

    def _written(self, line: str) -> bool:
        try:
            _write_line(self._stream, line)
        except (OSError, ValueError) as error:  # ValueError: the stream object itself was closed
            if isinstance(error, ValueError) or error.errno == errno.EPIPE:
                self._closed = True
                _silence(self._stream)
            return False
        return True


def _poll_for(stream: TextIO) -> "select.poll | None":
    """Return what tells whether the stream takes a line now; None where it always does (memory, closed)."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return None
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)  # for a pipe: PIPE_BUF bytes are free; errors wake it too
    return poll


def _write_line(stream: TextIO, line: str) -> None:
    try:
        stream.write(line + "\n")
    except UnicodeEncodeError:  # a terminal that is not UTF-8
        stream.write(line.encode("ascii", "backslashreplace").decode("ascii") + "\n")
    stream.flush()


def _silence(stream: TextIO) -> None:
    """Point a broken pipe at /dev/null: else Python's flush at exit fails and sets status 120."""
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        return
    try:
        os.dup2(sink, stream.fileno())
    except (OSError, ValueError):
        pass  # no descriptor behind the stream, or it is closed: nothing to flush at exit either
    finally:
        os.close(sink)
