"""The swarm key: 32 secret bytes that every peer of a private swarm has, and how one shows another that it has them.

The proof is an answer to a challenge: HMAC-SHA256 (RFC 2104) under the key over both peer ids, the run and a fresh
nonce of whoever asks. It travels inside a connection on which Noise has proved both ids, so a proof is of no use to
anybody but the two: replayed, it meets another nonce; relayed or reflected, it names another prover or verifier
(docs/adr/0039). The file is that of other libp2p programs: `/key/swarm/psk/1.0.0/`, `/base16/`, 64 hex digits.
"""

import hashlib
import hmac

import msgspec

from peer.types import PeerId

KEY_BYTES = 32
NONCE_BYTES = 32
MAX_FILE_BYTES = 256

_HEAD = "/key/swarm/psk/1.0.0/"
_ENCODING = "/base16/"
_DOMAIN = b"murmuration swarm key 1"
_encode = msgspec.msgpack.Encoder().encode


class SwarmKey:
    """The shared secret; it prints as its fingerprint."""

    __slots__ = ("_secret", "fingerprint")

    def __init__(self, secret: bytes) -> None:
        """Raises: ValueError unless `secret` has 32 bytes."""
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a swarm key has {KEY_BYTES} bytes, got {len(secret)}")
        self._secret = bytes(secret)
        self.fingerprint: str = hashlib.sha256(_DOMAIN + b" fingerprint" + self._secret).hexdigest()[:16]
        """16 hex digits by which people compare keys; says nothing of the secret, which is drawn at random."""

    @staticmethod
    def parse(text: str) -> "SwarmKey":
        """Read the content of a key file. Raises: ValueError with what was expected."""
        lines = text.split()
        if len(lines) != 3 or lines[0] != _HEAD or lines[1] != _ENCODING:
            raise ValueError(f"expected three lines: {_HEAD}, {_ENCODING}, 64 hex digits")
        try:
            return SwarmKey(bytes.fromhex(lines[2]))
        except ValueError as error:
            raise ValueError(f"expected 64 hex digits in line 3, got {len(lines[2])} characters") from error

    def text(self) -> str:
        """Return the content of a key file. Secret: never log or send it."""
        return f"{_HEAD}\n{_ENCODING}\n{self._secret.hex()}\n"

    def proof(self, *, run: bytes, prover: PeerId, verifier: PeerId, nonce: bytes) -> bytes:
        """Return what `prover` answers to the challenge `nonce` of `verifier`; 32 bytes."""
        return hmac.digest(self._secret, _encode((_DOMAIN, run, prover, verifier, nonce)), "sha256")

    def accepts(self, proof: bytes, *, run: bytes, prover: PeerId, verifier: PeerId, nonce: bytes) -> bool:
        """Return whether `prover` has this key, in time that does not depend on where a wrong proof differs."""
        return hmac.compare_digest(proof, self.proof(run=run, prover=prover, verifier=verifier, nonce=nonce))

    def __repr__(self) -> str:
        return f"SwarmKey({self.fingerprint})"
