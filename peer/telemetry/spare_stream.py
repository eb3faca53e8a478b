"""A stream that no work depends on: the terminal may be closed, the pipe broken, the disk full."""

import io
import sys
from contextlib import suppress
from typing import Any, TextIO, cast


def spare_stderr(stream: TextIO | None = None) -> TextIO:
    """Return `stream`, or stderr as it is now, as one that takes progress and never fails."""
    return cast(TextIO, SpareStream(stream or sys.stderr or io.StringIO()))


class SpareStream:
    """Passes on what can be written, and drops the rest: progress is worth less than what is worked at."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:  # Any: whatever a text stream has
        return getattr(self._stream, name)
