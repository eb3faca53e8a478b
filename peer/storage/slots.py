"""One folder a peer: a free `slot-N` of the data folder, held by a file lock while the process lives.

Replicas of one container share a volume and know nothing of each other; the lock sorts them out, and a replica
that is restarted finds the identity of the one that died, because the kernel drops a lock with its process.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from peer.errors import StorageError
from peer.storage.atomic_file import remove_leftovers, write_atomic
from peer.storage.file_lock import lockable, noted_holder, try_lock, unlock
from peer.storage_failures import storage_errors

MAX_SLOTS = 4096
LOCK_FILE = "lock"


@dataclass(slots=True)
class Slot:
    """A claimed folder. Close it, or leave its `with` block, to give it back."""

    index: int
    path: Path
    _lock: int | None

    @property
    def name(self) -> str:
        """The display name: `peer-1` for slot-0."""
        return f"peer-{self.index + 1}"

    def close(self) -> None:
        if self._lock is not None:
            unlock(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def claim_slot(data_dir: Path, index: int | None = None, *, holding: str = "") -> Slot:
    """Create `data_dir` if missing, and lock a slot of it. index: which one; None: the lowest that nobody holds.

    holding: a folder of a run; slots in which it stands come first. So peers of two runs that share `data_dir` find
    their states again in whatever order they start.

    Raises: StorageError when the folder cannot be written, the slot is taken, or every slot is.
    """
    with storage_errors("use", data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
    for candidate in _in_line(data_dir, holding) if index is None else (index,):
        path = data_dir / f"slot-{candidate}"
        with storage_errors("use", path):
            lock = _try_lock(path)
        if lock is None:
            continue
        slot = Slot(candidate, path, lock)
        try:
            remove_leftovers(path)
        except BaseException:
            slot.close()
            raise
        return slot
    if index is not None:
        path = data_dir / f"slot-{index}"
        holder = noted_holder(path / LOCK_FILE)
        raise StorageError(
            f"another process{'' if holder is None else f' ({holder})'} holds {path}: stop it, or take another"
            " storage.slot (null: the lowest free one)"
        )
    raise StorageError(f"all {MAX_SLOTS} slots in {data_dir} are taken: give some peers another storage.data_dir")


def require_open_slots(data_dir: Path) -> None:
    """Where something was not found in the slots of `data_dir`: it may be in one that we cannot look into.

    Raises: StorageError naming the first of these.
    """
    for path in sorted(data_dir.glob("slot-*")):
        if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
            raise StorageError(f"cannot read {path}: it belongs to another user: ask as that one, or as root")


def tell_slot(slot: Path, *, file: Path) -> None:
    """Leave the path of a slot in `file`, where a health check looks for it (docker/healthcheck.sh).

    Raises: StorageError that names the setting, as another storage.data_dir would change nothing.
    """
    try:
        write_atomic(file, f"{slot.resolve()}\n".encode())
    except StorageError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        why = (error.__cause__.strerror or str(error.__cause__)).lower()
        raise StorageError(
            f"cannot write storage.slot_file {file}: {why}; mount a tmpfs there, or name a file that can be written"
        ) from error


def free_slots(data_dir: Path, count: int) -> list[int]:
    """Return the lowest slots that nobody holds now. Raises: StorageError as `claim_slot` does."""
    with ExitStack() as stack:
        return [stack.enter_context(claim_slot(data_dir)).index for _ in range(count)]


def _in_line(data_dir: Path, holding: str) -> list[int]:
    numbers = [path.parent.name.removeprefix("slot-") for path in data_dir.glob(f"slot-*/{holding}")] if holding else []
    held = {int(number) for number in numbers if number.isdecimal()}
    return sorted(range(MAX_SLOTS), key=lambda number: number not in held)


def _try_lock(folder: Path) -> int | None:
    """Return a descriptor that holds the folder's lock, or None when another process holds it.

    Raises: OSError; StorageError where there are no locks.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    with lockable(folder):
        return try_lock(folder / LOCK_FILE)
