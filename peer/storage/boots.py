"""Count the starts of an identity, so that others know which of two sessions is the newer one."""

import struct
from dataclasses import dataclass
from pathlib import Path

from peer.errors import StorageError
from peer.storage.atomic_file import read_framed, write_framed

BOOTS_FILE = "boots"
"""Its name in a peer's slot."""

_KIND = b"BOOT"
_COUNT = struct.Struct(">Q")
_MAX_PLAUSIBLE = 1 << 32
"""Above what a damaged count goes on from (seconds since 1970), and below what sequences have room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One start of an identity. damage: what was wrong with the stored count, None when nothing was."""

    number: int
    damage: str | None


def raise_boot(path: Path, number: int) -> None:
    """Have the next start count on from `number` at least: that many were counted elsewhere, in a copy of the folder.

    Does nothing for a number that no count of starts reaches. Raises: StorageError when it cannot be stored.
    """
    try:
        stored = _COUNT.unpack(read_framed(path, kind=_KIND))[0]
    except (FileNotFoundError, StorageError, struct.error):
        stored = 0
    if stored < number < _MAX_PLAUSIBLE:
        write_framed(path, _COUNT.pack(number), kind=_KIND)


def count_boot(path: Path, *, unix_time_s: int) -> Boot:
    """Return the number of this start, one more than the last, and store it before it is used.

    unix_time_s: taken when the stored count is damaged: no identity has been started that often, so the number
    still grows. Raises: StorageError when it cannot be stored.
    """
    number, damage = 1, None
    try:
        number = _COUNT.unpack(read_framed(path, kind=_KIND))[0] + 1
    except FileNotFoundError:
        pass  # the first start
    except (StorageError, struct.error) as error:
        number, damage = unix_time_s, str(error)
    write_framed(path, _COUNT.pack(number), kind=_KIND)
    return Boot(number=number, damage=damage)
