"""The file of proofs against peers: a restart must not let anybody in again."""

from pathlib import Path

import msgspec

from peer.errors import StorageError
from peer.storage.atomic_file import read_framed, write_framed

PROOFS_FILE = "denied.proofs"
_KIND = b"DENY"
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode
_encode = msgspec.msgpack.Encoder().encode


def save_proofs(path: Path, proofs: list[tuple[bytes, bytes]]) -> None:
    """Replace the file: pairs of envelopes, in the order they are to be read back. Raises: StorageError."""
    write_framed(path, _encode(proofs), kind=_KIND)


def load_proofs(path: Path) -> list[tuple[bytes, bytes]]:
    """Return the pairs of an earlier life, none when there is no file. Raises: StorageError when it is damaged."""
    try:
        return _decode(read_framed(path, kind=_KIND))
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        raise StorageError(f"{path} is damaged: {error}") from error
