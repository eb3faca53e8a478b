"""What environments print goes to stderr: stdout is for logs and results."""

import sys
import threading
from types import TracebackType
from typing import TextIO


class PrintingToStderr:
    """A `with` block in which `print` writes to stderr, in all threads, as `sys.stdout` is the process's.

    Blocks of several threads may overlap: the last one to end puts stdout back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._stdout: TextIO | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                self._stdout, sys.stdout = sys.stdout, sys.stderr

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks == 0:
                sys.stdout, self._stdout = self._stdout, None


printing_to_stderr = PrintingToStderr()
