"""Allow-lists on disk: the one that a user edits and signs, and the newest one that a peer has heard of."""

from collections.abc import Callable
from pathlib import Path

from peer.admission.allow_list import AllowListFile, parse_allow_list
from peer.admission.policy import FoundList
from peer.errors import ProtocolError, StorageError
from peer.storage.atomic_file import write_atomic
from peer.storage.edit_lock import sole_editor
from peer.storage_failures import describe
from peer.wire.limits import MAX_ALLOW_LIST_BYTES

ALLOW_LIST_FILE = "allow-list.json"
"""Where a slot keeps the newest allow-list that its peer has heard of."""


def read_allow_list(path: Path) -> bytes:
    """Return the bytes of a list. Raises: FileNotFoundError; StorageError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_ALLOW_LIST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(describe("read the allow-list", path, error)) from error


def load_allow_list(path: Path) -> AllowListFile:
    """Raises: StorageError, saying what to do, when the file is missing or no allow-list."""
    try:
        return parse_allow_list(read_allow_list(path))
    except FileNotFoundError as error:
        raise StorageError(
            f"there is no allow-list {path}: make one by 'murmur allow-list new {path} --run NAME'"
        ) from error
    except ProtocolError as error:
        raise StorageError(f"{path}: {error.detail}") from error


def create_allow_list(path: Path, list_file: AllowListFile) -> None:
    """Write a list where there is no file. Raises: StorageError."""
    with sole_editor(path):
        if path.exists():
            raise StorageError(f"{path} exists already: name another file, or move it away")
        save_allow_list(path, list_file)


def change_allow_list(path: Path, change: Callable[[AllowListFile], AllowListFile]) -> None:
    """Replace a list by what `change` makes of it; changes of several processes are made one after the other.

    Raises: StorageError, and what `change` raises; the list is then as it was.
    """
    with sole_editor(path):
        save_allow_list(path, change(load_allow_list(path)))


def save_allow_list(path: Path, list_file: AllowListFile) -> None:
    """Raises: StorageError, also when nobody could read what would be written: `path` is then left as it is."""
    data = list_file.text()
    try:
        parse_allow_list(data)
    except ProtocolError as error:
        raise StorageError(f"{path} is not written, as nobody could read it again: {error.detail}") from error
    write_atomic(path, data)


class AllowListFiles:
    """The user's file, which may be replaced while the peer runs, and the peer's own copy of the newest list.

    configured: the user's; None: there is none.
    """

    def __init__(self, configured: Path | None, *, kept: Path) -> None:
        self._configured = configured
        self._kept = kept
        self._seen: tuple[int, ...] | None = None

    def keep(self, newest: AllowListFile) -> None:
        """Raises: StorageError."""
        save_allow_list(self._kept, newest)

    def changed(self) -> FoundList | None:
        """Return the user's file once after every change, None else. Raises: StorageError."""
        if self._configured is None:
            return None
        try:
            status = self._configured.stat()
        except OSError:
            return None  # being replaced, or gone: what is known stays valid
        # The time of the last change of the inode: whoever makes a file readable does not write it.
        seen = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            return FoundList(str(self._configured), read_allow_list(self._configured))
        except FileNotFoundError:
            return None
