"""The file of a peer's key, kept for ever, because a new key is a new peer to the swarm.

The file holds libp2p's own encoding (protobuf PrivateKey{type: Ed25519, data: seed[32] | public key[32]}), so other
libp2p tools can read it. The public half is redundant and serves as a checksum: a damaged file is noticed.
"""

import os
import stat
from pathlib import Path

from peer.bounded_file import open_at_once
from peer.errors import StorageError
from peer.network.identity import SEED_BYTES, Identity
from peer.secret_file import create_secret
from peer.storage_failures import describe, storage_errors

KEY_FILE = "identity.key"
"""Its name in a peer's slot."""

_PREFIX = bytes((0x08, 0x01, 0x12, 0x40))
_PEM_PREFIX = b"-----BEGIN ENCRYPTED PRIVATE KEY"
_SWARM_KEY_PREFIX = b"/key/swarm/"
_FILE_BYTES = len(_PREFIX) + 2 * SEED_BYTES


def load_or_create_identity(path: Path) -> Identity:
    """Read the key file at `path`; make a new one only when no file is there.

    Raises: StorageError, saying what to do, when the file is damaged, readable by others, not accessible, a link that
    leads nowhere now, or cannot be written.
    Never replaces an existing file: silently becoming another peer would look to the swarm like a death and a
    stranger.
    """
    try:
        return load_identity(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise StorageError(
                f"the identity file {path} is a link to {path.readlink()}, where there is none: mount what it is on, "
                "or delete the link, and this peer returns under a new identity"
            ) from error
        identity = Identity.generate()
        return identity if _write(path, identity) else load_identity(path)  # another process was quicker


def load_identity(path: Path) -> Identity:
    """Read the key file at `path`. Raises: FileNotFoundError; StorageError as `load_or_create_identity`."""
    try:
        with open_at_once(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(_FILE_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(describe("read the identity file", path, error)) from error
    if mode & 0o077:
        raise StorageError(
            f"identity file {path} is open to other users (mode {mode:04o}, expected 0600): run "
            f"'chmod 600 {path}', or, where that changes nothing, move the folder to a file system that keeps modes; "
            "if others may have read it, delete it and return under a new identity"
        )
    return _decode(raw, path)


def write_new_identity(path: Path, identity: Identity) -> None:
    """Write a key file, mode 0600.

    Raises: StorageError, saying what to do, when there is a file already, or it cannot be written.
    """
    if not _write(path, identity):
        raise StorageError(f"{path} exists already: a key is never overwritten; name another file, or move it away")


def _decode(raw: bytes, path: Path) -> Identity:
    if raw.startswith(_PEM_PREFIX):
        raise StorageError(f"{path} is an exported copy of a key: `murmur identity import {path} --to FILE` unpacks it")
    if raw.startswith(_SWARM_KEY_PREFIX):  # nobody is to delete the key of a swarm
        raise StorageError(
            f"{path} is a swarm's key and no identity: name another file; `murmur identity new FILE` makes one"
        )
    damaged = (
        f"identity file {path} is damaged ({{}}): restore it from a backup, or delete it, and this peer "
        "returns under a new identity"
    )
    if len(raw) != _FILE_BYTES:
        size = f"more than {_FILE_BYTES}" if len(raw) > _FILE_BYTES else str(len(raw))
        raise StorageError(damaged.format(f"expected {_FILE_BYTES} bytes, got {size}"))
    if not raw.startswith(_PREFIX):
        raise StorageError(damaged.format("not a libp2p Ed25519 private key"))
    seed, public_key = raw[len(_PREFIX) : -SEED_BYTES], raw[-SEED_BYTES:]
    identity = Identity(seed)
    if identity.public_key != public_key:
        raise StorageError(damaged.format("its two halves do not belong together"))
    return identity


def _write(path: Path, identity: Identity) -> bool:
    """Return whether it was written: not where there is a file."""
    raw = _PREFIX + identity.secret_seed + identity.public_key
    with storage_errors("write the identity file", path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return create_secret(path, raw, operation="write the identity file")
