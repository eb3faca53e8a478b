"""The file of a swarm key: mode 0600, written once, read at every start."""

import os
import stat
from pathlib import Path

from peer.admission.swarm_key import KEY_BYTES, MAX_FILE_BYTES, SwarmKey
from peer.errors import StorageError
from peer.secret_file import create_secret
from peer.storage_failures import describe, storage_errors

_IDENTITY_PREFIX = b"\x08\x01\x12\x40"
"""How a libp2p Ed25519 private key begins."""


def write_new_swarm_key(path: Path) -> SwarmKey:
    """Draw a key and write it. Raises: StorageError when there is a file already, or it cannot be written."""
    key = SwarmKey(os.urandom(KEY_BYTES))
    with storage_errors("write", path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not create_secret(path, key.text().encode()):
        raise StorageError(f"{path} exists already: a key is never overwritten; name another file, or move it away")
    return key


def load_swarm_key(path: Path) -> SwarmKey:
    """Raises: StorageError, saying what to do, when the file is missing, damaged, or readable by others."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise StorageError(
            f"there is no swarm key file {path}: copy it from another peer, or make the swarm's first one by "
            f"'murmur swarm-key new {path}'"
        ) from error
    except OSError as error:
        raise StorageError(describe("read the swarm key file", path, error)) from error
    if _is_open_to_others(found):
        mode = stat.S_IMODE(found.st_mode)
        raise StorageError(
            f"swarm key file {path} is open to other users (mode {mode:04o}, expected 0600): run 'chmod 600 {path}', or"
            " move it, where that changes nothing, to a file system that keeps modes; if others may have read it, give"
            " all peers a new one"
        )
    if raw.startswith(_IDENTITY_PREFIX):
        raise StorageError(
            f"{path} is an identity and no swarm key: name another file; the swarm's first key is made by "
            "'murmur swarm-key new FILE'"
        )
    try:
        return SwarmKey.parse(raw.decode("ascii"))
    except (ValueError, UnicodeDecodeError) as error:
        raise StorageError(
            f"swarm key file {path} is damaged ({error}): copy it from another peer, or make a new one for all"
        ) from error


def _is_open_to_others(found: os.stat_result) -> bool:
    """What root has given to our group to read is meant for us: Kubernetes mounts secrets so, which we cannot own."""
    is_given = found.st_uid == 0 and os.geteuid() != 0
    return bool(found.st_mode & (0o037 if is_given else 0o077))
