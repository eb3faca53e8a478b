"""Signatures of simulated peers: a keyed hash that the simulation itself can check, a hundred times as fast as Ed25519.

They bind a message to its author as real ones do: a forged one is refused under the same reason. What they cannot
show is the cost of real signatures (about 30 us to make, 100 us to check), and they keep no secret.
"""

import hashlib

from peer.network.identity import SESSION_BYTES, Identity
from peer.types import PeerId, Session

_SIGNATURE_BYTES = 64


class Notary:
    """Makes the signers of a run and checks what they sign."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._secrets: dict[PeerId, bytes] = {}

    def signer(self, number: int) -> "SimulatedSigner":
        peer_id = Identity.for_tests(number + 1).peer_id
        secret = self._secrets[peer_id] = hashlib.sha256(f"{self._seed} {number}".encode()).digest()
        return SimulatedSigner(peer_id, secret, Session(secret[:SESSION_BYTES]))

    def verify(self, peer: PeerId, signature: bytes, signed_data: bytes) -> bool:
        secret = self._secrets.get(peer)
        return secret is not None and signature == _sign(secret, signed_data)


class SimulatedSigner:
    """A `wire.envelope.Signer`."""

    def __init__(self, peer_id: PeerId, secret: bytes, session: Session) -> None:
        self.peer_id = peer_id
        self.session = session
        self._secret = secret

    def sign(self, data: bytes) -> bytes:
        return _sign(self._secret, data)


def _sign(secret: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, key=secret, digest_size=_SIGNATURE_BYTES).digest()
