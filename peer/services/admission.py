"""The gatekeeper's desk: asks every newcomer for the swarm key, and shows ours to those who ask."""

import os
from collections.abc import Callable

import trio

from peer.admission.swarm_key import NONCE_BYTES, SwarmKey
from peer.errors import ProtocolError
from peer.network.transport import Transport
from peer.types import PeerId
from peer.wire.admission import ADMISSION_PROTOCOL, Challenge, ChallengeAnswer, decode, encode


def fresh_nonce() -> bytes:
    return os.urandom(NONCE_BYTES)


class AdmissionDesk:
    """Examines peers whose card fits. Each side examines the other by itself; neither serves before it is content.

    swarm_key: None for an open swarm. nonce: draws 32 bytes that are never drawn again.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        run: bytes,
        swarm_key: SwarmKey | None,
        nonce: Callable[[], bytes] = fresh_nonce,
    ) -> None:
        self._transport = transport
        self._run = run
        self._swarm_key = swarm_key
        self._nonce = nonce

    def open(self) -> None:
        """Answer those who examine us."""
        self._transport.handle(ADMISSION_PROTOCOL, self._answer, strangers=True)

    async def examine(self, peer: PeerId) -> None:
        """Return when `peer` may take part. Raises: ProtocolError with why not; TransportError as a request."""
        nonce = self._nonce()
        data = await self._transport.request(peer, ADMISSION_PROTOCOL, encode(Challenge(nonce)))
        answer = decode(data, ChallengeAnswer)
        self._check_key(peer, nonce, answer.proof)
        if answer.refused:
            raise ProtocolError("refused_us", f"it does not take this peer in: {answer.refused}")

    def _check_key(self, peer: PeerId, nonce: bytes, proof: bytes | None) -> None:
        key = self._swarm_key
        if key is None and proof is not None:
            raise ProtocolError(
                "swarm_key", "its swarm asks for a swarm key and this peer has none: set network.swarm_key_file"
            )
        if key is None:
            return
        if proof is None:
            raise ProtocolError("swarm_key", "it has no swarm key: give it a copy of network.swarm_key_file")
        if not key.accepts(proof, run=self._run, prover=peer, verifier=self._transport.local_peer, nonce=nonce):
            said = f"its swarm key is not ours ({key.fingerprint}): compare by `murmur swarm-key show`"
            raise ProtocolError("swarm_key", said)

    async def _answer(self, peer: PeerId, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        nonce = decode(data, Challenge).nonce
        proof = None
        if self._swarm_key is not None:
            proof = self._swarm_key.proof(run=self._run, prover=self._transport.local_peer, verifier=peer, nonce=nonce)
        return encode(ChallengeAnswer(proof, ""))
