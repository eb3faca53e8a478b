"""TensorBoard's event files: the only place that imports tensorboardX, for its messages and its checksum.

Its own writers are not used: they fail in a thread of theirs, where nobody hears of it, and then block (docs/adr/0093).
"""

import importlib.util
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peer.storage_failures import storage_errors

if TYPE_CHECKING:
    from io import FileIO

KEPT_FILES = 256
"""In one folder. Each start writes a file of its own; with more than these the oldest go."""

_NAME = "events.out.tfevents"
_VERSION = "brain.Event:2"
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Figures by their tags at one place of the x axis. at: Unix time, in seconds."""

    step: int
    scalars: Mapping[str, float]
    at: float = field(default_factory=time.time)


def require_tensorboardx(who: str) -> None:
    """Raises: ValueError naming `who`, an option or a key, where tensorboardX is not installed."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ValueError(f"{who} needs tensorboardX, which is not installed: pip install tensorboardX")


def holds_event_files(folder: Path) -> bool:
    return any(folder.glob(f"{_NAME}.*"))


def is_empty_folder(folder: Path) -> bool:
    """Say whether `folder` may be a run's that ended before its first point. Raises: OSError."""
    return folder.is_dir() and not any(folder.iterdir())


def new_run_folder(parent: Path, name: str) -> Path:
    """Make the folder `<name>_<number>` in `parent`, by the first number above those that are there.

    Two runs that start at once get two folders. Raises: StorageError.
    """
    with storage_errors("write TensorBoard files in", parent):
        parent.mkdir(parents=True, exist_ok=True)
        tails = (path.name.removeprefix(f"{name}_") for path in parent.glob("*_*") if path.name.startswith(f"{name}_"))
        number = 1 + max((int(tail) for tail in tails if tail.isdecimal()), default=0)
        while True:
            folder = parent / f"{name}_{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder


class EventFileWriter:
    """Writes one event file, which is made with the first point, beside those of earlier lives of the run.

    What a reader holds of earlier lives at and above the step at which this one begins is replaced; so is, when steps
    fall, what is at and above the lower one. May block: not for the event loop. For one thread at a time.
    """

    def __init__(self, folder: Path, *, begins_at: int, texts: Mapping[str, str], suffix: str = "") -> None:
        """begins_at: step from which on earlier lives do not count. texts: by tag, Markdown. suffix: of the name."""
        _messages()  # before anything is trained, and while nobody waits
        self._folder = folder
        self._texts = texts
        self._suffix = suffix
        self._last = begins_at - 1
        self._file: FileIO | None = None
        self._size = 0

    def write(self, points: Sequence[Point]) -> None:
        """Append the points, all of them or, where the disk refuses one, none: they can be given again.

        Raises: StorageError.
        """
        if not points:
            return
        with storage_errors("write TensorBoard files in", self._folder):
            if self._file is not None and os.fstat(self._file.fileno()).st_nlink == 0:
                self.close()  # somebody removed it: begin another
            last, content = self._last, b""
            if self._file is None:
                content += _file_head(self._texts, step=last + 1)
            for point in points:
                if point.step < last:
                    content += _restart(at=point.at, step=point.step)
                last = point.step
                content += _record(_event(point))
            self._append(content)
            self._last = last

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, content: bytes) -> None:
        file = self._file or self._open()
        try:
            _write_all(file, content)
        except OSError:
            try:
                os.truncate(file.fileno(), self._size)
                file.seek(self._size)
            except OSError:
                self.close()  # what is there may be torn: go on in another file
            raise
        self._size += len(content)

    def _open(self) -> "FileIO":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._remove_oldest()
        start = f"{_NAME}.{int(time.time()):010d}.{socket.gethostname()}{self._suffix}"
        for number in range(KEPT_FILES):
            try:
                self._file = (self._folder / (start if number == 0 else f"{start}.{number}")).open("xb", buffering=0)
                break
            except FileExistsError:
                continue
        else:
            raise FileExistsError(f"{start} is there {KEPT_FILES} times")
        self._size = 0
        return self._file

    def _remove_oldest(self) -> None:
        files = sorted(self._folder.glob(f"{_NAME}.*"))
        for file in files[: max(0, len(files) + 1 - KEPT_FILES)]:
            file.unlink(missing_ok=True)


def _write_all(file: "FileIO", content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _file_head(texts: Mapping[str, str], *, step: int) -> bytes:
    event, at = _messages().event.Event, time.time()
    head = _record(event(wall_time=at, file_version=_VERSION)) + _restart(at=at, step=step)
    for tag, text in texts.items():
        head += _record(event(wall_time=at, step=step, summary=_messages().text(tag, text)))
    return head


def _restart(*, at: float, step: int) -> bytes:
    """Tell readers to forget what they hold at and above `step`."""
    session = _messages().event.SessionLog
    return _record(_messages().event.Event(wall_time=at, step=step, session_log=session(status=session.START)))


def _event(point: Point) -> Any:  # Any: a message of tensorboardX, which has no types
    event = _messages().event.Event(wall_time=point.at, step=point.step)
    for tag, value in point.scalars.items():
        event.summary.value.add(tag=tag, simple_value=value)
    return event


def _record(event: Any) -> bytes:  # Any: as above
    """Frame a message as TFRecord does: its length and itself, each with a masked CRC-32C."""
    data: bytes = event.SerializeToString()
    length = _LENGTH.pack(len(data))
    checksum = _messages().checksum
    return length + _CHECKSUM.pack(checksum(length)) + data + _CHECKSUM.pack(checksum(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Messages:
    """Parts of tensorboardX, which has no types."""

    event: Any
    text: Any
    checksum: Any


@cache
def _messages() -> _Messages:
    with _without_torch():
        from tensorboardX.proto import event_pb2
        from tensorboardX.record_writer import masked_crc32c
        from tensorboardX.summary import text
    return _Messages(event=event_pb2, text=text, checksum=masked_crc32c)


@contextmanager
def _without_torch() -> Iterator[None]:
    """Let imports do without torch, which tensorboardX would load to know the type of a tensor: 200 MB, for seconds."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # what the import system takes for "there is none"
    try:
        yield
    finally:
        del sys.modules["torch"]
