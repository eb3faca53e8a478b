"""The deltas of the last rounds on disk: with them anybody can compute the chain's models anew (`murmur log --verify`).

Evidence, not state: a peer starts and goes on without them, so they never take the space that state needs.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from peer.errors import StorageError
from peer.storage.atomic_file import FRAME_BYTES, read_framed, write_framed
from peer.storage_failures import storage_errors

PAYLOADS_FOLDER = "payloads"
"""Its name in the folder of a run."""

_KIND = b"PAYL"
_NAME = re.compile(r"round-(\d{13})\.bin")
_PER_PAYLOAD_BYTES = 5  # msgpack's head of a long byte string

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


class PayloadFolder:
    """One file a round, the oldest dropped first. A round written again, on another branch, replaces the first."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """max_bytes: bound on all files together; 0: nothing is kept."""
        self._folder = folder
        self._max_bytes = max_bytes

    def save(self, number: int, payloads: Sequence[bytes]) -> bool:
        """Keep the payloads of a round; return whether they were kept.

        They are not when they alone exceed the bound, or when the disk has less free than the bound: the space left
        is for state. Raises: StorageError.
        """
        self.forget_from(number)
        if FRAME_BYTES + _payload_bytes([len(payload) for payload in payloads]) > self._max_bytes:
            return False
        with storage_errors("use", self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self._folder).free < self._max_bytes:
                return False
        write_framed(self._path(number), _encode(list(payloads)), kind=_KIND)
        self._shrink()
        return True

    def forget_from(self, number: int) -> None:
        """Drop what is kept of round `number` and later ones: they are of a branch that was left."""
        with storage_errors("drop payloads in", self._folder):
            for path in reversed(self._files()):
                if path.name < self._path(number).name:
                    return
                path.unlink(missing_ok=True)

    def holds(self, number: int) -> bool:
        return self._path(number).is_file()

    def load(self, number: int, *, sizes: Sequence[int]) -> list[bytes]:
        """Return what was kept of a round, nothing when there is no file.

        sizes: of its payloads. Raises: StorageError when the file is damaged, or larger than they make it.
        """
        path = self._path(number)
        try:
            return _decode(read_framed(path, kind=_KIND, most_bytes=_payload_bytes(sizes)))
        except FileNotFoundError:
            return []
        except msgspec.MsgspecError as error:
            raise StorageError(f"{path} is damaged: {error}") from error

    def _shrink(self) -> None:
        with storage_errors("drop old payloads in", self._folder):
            sizes = {path: path.stat().st_size for path in self._files()}
            total = sum(sizes.values())
            for path, size in sizes.items():
                if total <= self._max_bytes:
                    return
                path.unlink(missing_ok=True)
                total -= size

    def _files(self) -> list[Path]:
        """Return the files by round."""
        if not self._folder.is_dir():
            return []
        return sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))

    def _path(self, number: int) -> Path:
        return self._folder / f"round-{number:013d}.bin"


def _payload_bytes(sizes: Sequence[int]) -> int:
    return _PER_PAYLOAD_BYTES * (1 + len(sizes)) + sum(sizes)
