"""The last few states of the common model on disk; the newest that can be trusted is the one to start from."""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from peer.bounded_file import MAX_FILE_BYTES
from peer.errors import StorageError
from peer.storage.atomic_file import FRAME_BYTES, read_framed, write_framed
from peer.storage_failures import storage_errors
from peer.types import Digest

SNAPSHOTS_FOLDER = "snapshots"
"""Its name in the folder of a run."""

_KIND = b"SNAP"
_HEAD = struct.Struct(">Q32s")
_MAX_CONTENT_BYTES = MAX_FILE_BYTES - FRAME_BYTES - _HEAD.size
_NAME = re.compile(r"snapshot-(\d{10})\.bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One state of the common model. digest: of the sealed manifest that the state belongs to. content: opaque here."""

    round: int
    digest: Digest
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A file that was passed over: what is wrong with it, in a sentence that names it."""

    path: Path
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSnapshot:
    """What was found on disk to start from.

    snapshot: the newest good one, None when there is none. damaged: newer ones that could not be used.
    """

    snapshot: Snapshot | None
    damaged: tuple[Damage, ...]


class SnapshotStore:
    """Snapshots in one folder, of which the newest `keep` stay, and as many damaged ones, set aside.

    They are numbered in the order written: after a change of branch the newest may be of a lower round than the one
    before it.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        if keep < 2:
            raise ValueError(f"keep must be at least 2, so that a damaged newest is survived, got {keep}")
        self._folder = folder
        self._keep = keep

    def save(self, snapshot: Snapshot) -> Path:
        """Write durably, then drop the oldest beyond `keep`. Raises: StorageError; older ones stay."""
        if not 0 <= snapshot.round < 1 << 64 or len(snapshot.digest) != 32:
            raise ValueError(f"bad snapshot: round {snapshot.round}, digest of {len(snapshot.digest)} bytes")
        with storage_errors("use", self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            numbered = self._numbered()
        number = numbered[-1][0] + 1 if numbered else 1
        path = self._folder / f"snapshot-{number:010d}.bin"
        head = _HEAD.pack(snapshot.round, snapshot.digest)
        write_framed(path, head + snapshot.content, kind=_KIND)
        with storage_errors("drop old snapshots in", self._folder):
            for _, old in numbered[: len(numbered) + 1 - self._keep]:
                old.unlink(missing_ok=True)
        return path

    def load_newest(self, accept: Callable[[Snapshot], None] = lambda _: None) -> LoadedSnapshot:
        """Return the newest snapshot whose checksum holds and that is accepted; others are renamed to `*.corrupt`.

        One that the disk does not give is passed over and stays as it is: it may be good, and readable again later.

        accept: raises StorageError for one that is of no use. Raises: StorageError when the folder cannot be listed, or
        the disk gives none and refuses one: to begin anew then would be to forget what is there.
        """
        with storage_errors("list", self._folder):
            numbered = self._numbered()
        damaged: list[Damage] = []
        refused: StorageError | None = None
        for _, path in reversed(numbered):
            try:
                snapshot = _read(path)
                accept(snapshot)
                return LoadedSnapshot(snapshot=snapshot, damaged=tuple(damaged))
            except FileNotFoundError:
                continue
            except StorageError as error:
                damaged.append(Damage(path=path, cause=str(error)))
                if _is_refused(error):
                    refused = refused or error
                else:
                    self._set_aside(path)
        if refused is not None:
            raise StorageError(f"{refused}; or move it away to start without it") from refused
        return LoadedSnapshot(snapshot=None, damaged=tuple(damaged))

    def held(self, *, most_bytes: int) -> Iterator[Snapshot | Damage]:
        """Yield every snapshot in the order written, and what is wrong with the damaged ones. All stay as they are.

        most_bytes: of the content of one. Raises: StorageError when the folder cannot be listed.
        """
        with storage_errors("list", self._folder):
            numbered = self._numbered()
        for _, path in numbered:
            if (found := _look_at(path, most_bytes=most_bytes)) is not None:
                yield found

    def _numbered(self) -> list[tuple[int, Path]]:
        try:
            paths = list(self._folder.iterdir())
        except FileNotFoundError:
            if self._folder.is_symlink():
                raise  # to what is not mounted now: that is no folder without snapshots
            return []
        found = [(match, path) for path in paths if (match := _NAME.fullmatch(path.name))]
        return sorted((int(match[1]), path) for match, path in found)

    def _set_aside(self, path: Path) -> None:
        """Keep a damaged file for whoever wants to know why, without letting such files pile up."""
        try:
            path.rename(path.with_suffix(".corrupt"))
            for old in sorted(self._folder.glob("snapshot-*.corrupt"))[: -self._keep]:
                old.unlink(missing_ok=True)
        except OSError:
            return  # a read-only disk: it is passed over again at the next start


def _is_refused(error: StorageError) -> bool:
    """Tell a disk that does not give a file, such as one that is failing, from a file that is no snapshot."""
    cause = error.__cause__
    return isinstance(cause, OSError) and not isinstance(cause, IsADirectoryError)


def _look_at(path: Path, *, most_bytes: int) -> Snapshot | Damage | None:
    try:
        return _read(path, most_bytes=most_bytes)
    except FileNotFoundError:
        return None  # the peer dropped it meanwhile
    except StorageError as error:
        return Damage(path=path, cause=str(error))


def _read(path: Path, *, most_bytes: int = _MAX_CONTENT_BYTES) -> Snapshot:
    payload = read_framed(path, kind=_KIND, most_bytes=_HEAD.size + most_bytes)
    if len(payload) < _HEAD.size:
        raise StorageError(f"{path} is damaged: too short for a snapshot; move it away to start without it")
    number, digest = _HEAD.unpack_from(payload)
    return Snapshot(round=number, digest=Digest(digest), content=payload[_HEAD.size :])
