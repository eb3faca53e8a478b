"""The Ed25519 key that is a peer, in the hands of one process.

Beside it stands what a process draws anew at every start: its session key, the static key of its Noise handshakes. The
session number is that key's hash, so every connection proves which process is at its other end.
"""

import hashlib
import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from peer.peer_ids import peer_id_of
from peer.types import PeerId, Session

SEED_BYTES = 32
SESSION_BYTES = 16


class Identity:
    """A private key and the peer id that follows from it, in the hands of one process."""

    __slots__ = ("_key", "_seed", "_session_key", "peer_id", "public_key", "session")

    def __init__(self, seed: bytes, *, session_key: bytes | None = None) -> None:
        """session_key: 32 secret bytes; drawn if None. Raises: ValueError unless `seed` has 32 bytes."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"an Ed25519 seed has {SEED_BYTES} bytes, got {len(seed)}")
        self._seed = bytes(seed)
        self._key = Ed25519PrivateKey.from_private_bytes(self._seed)
        self.public_key: bytes = self._key.public_key().public_bytes_raw()
        self.peer_id: PeerId = peer_id_of(self.public_key)
        self._session_key = os.urandom(SEED_BYTES) if session_key is None else session_key
        self.session: Session = session_of(
            X25519PrivateKey.from_private_bytes(self._session_key).public_key().public_bytes_raw()
        )

    @staticmethod
    def generate() -> "Identity":
        return Identity(os.urandom(SEED_BYTES))

    @staticmethod
    def for_tests(number: int, *, life: int = 0) -> "Identity":
        """Return the same identity for the same number, everywhere, and the same session for the same life."""
        session_key = hashlib.sha256(f"session {number} {life}".encode()).digest()
        return Identity(number.to_bytes(SEED_BYTES, "big"), session_key=session_key)

    @property
    def secret_seed(self) -> bytes:
        """The 32 secret bytes, for libp2p's key objects. Never log or send them."""
        return self._seed

    @property
    def session_key(self) -> bytes:
        """The 32 secret bytes of this process's Noise key."""
        return self._session_key

    def sign(self, data: bytes) -> bytes:
        """Return the Ed25519 signature (64 bytes) of `data`. Cost: about 30 us."""
        return self._key.sign(data)

    def __repr__(self) -> str:  # the default of a dataclass would print the seed
        return f"Identity({self.peer_id})"


def session_of(noise_public_key: bytes) -> Session:
    """Return the session number of the process that holds this Noise key."""
    return Session(hashlib.sha256(b"murmuration session:" + noise_public_key).digest()[:SESSION_BYTES])
