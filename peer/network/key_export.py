"""Encrypted copies of a peer's key, for backups and for moving a peer to another machine."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from peer.network.identity import Identity

MAX_PEM_BYTES = 4096


def encrypt_identity(identity: Identity, passphrase: str) -> bytes:
    """Return the key as an encrypted PKCS #8 PEM (scrypt or PBKDF2, AES-256), which other tools read too.

    Raises: ValueError for an empty passphrase.
    """
    if not passphrase:
        raise ValueError("the passphrase is empty")
    key = Ed25519PrivateKey.from_private_bytes(identity.secret_seed)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))


def decrypt_identity(pem: bytes, passphrase: str) -> Identity:
    """Undo `encrypt_identity`. Raises: ValueError when the passphrase is wrong, or it is no such key."""
    if b"ENCRYPTED PRIVATE KEY" not in pem[:MAX_PEM_BYTES] or len(pem) > MAX_PEM_BYTES:
        raise ValueError("it is no encrypted private key (PEM) as `murmur identity export` writes it")
    try:
        key = load_pem_private_key(pem, passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the passphrase is wrong, or the file is damaged") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it holds a key of another kind; peers have Ed25519 keys")
    return Identity(key.private_bytes_raw())
