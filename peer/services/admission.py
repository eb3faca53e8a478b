"""The gatekeeper's desk: examines newcomers by challenge and answer, and lets itself be examined."""

import os
from collections.abc import Callable

import trio

from peer.admission.policy import AdmissionPolicy
from peer.admission.swarm_key import NONCE_BYTES
from peer.errors import ProtocolError
from peer.network.transport import Transport
from peer.services.allow_lists import AllowListDesk
from peer.types import PeerId
from peer.wire.admission import ADMISSION_PROTOCOL, MAX_REFUSED_CHARS, Challenge, ChallengeAnswer, decode, encode


class AdmissionDesk:
    """Examines peers whose card fits. Each side examines the other by itself; neither serves before it is content."""

    def __init__(
        self,
        transport: Transport,
        *,
        run: bytes,
        policy: AdmissionPolicy,
        lists: AllowListDesk,
        denied: Callable[[PeerId], ProtocolError | None] = lambda _: None,
    ) -> None:
        """denied: why a peer is refused whatever a list says."""
        self._transport = transport
        self._run = run
        self._policy = policy
        self._lists = lists
        self._denied = denied

    @property
    def key_fingerprint(self) -> str | None:
        """Return by which people compare swarm keys, None for a swarm without one."""
        return None if self._policy.swarm_key is None else self._policy.swarm_key.fingerprint

    def objection(self, peer: PeerId) -> ProtocolError | None:
        """Return why `peer` may not take part by what is known now, None when it may."""
        return self._denied(peer) or self._lists.objection(peer)

    def open(self) -> None:
        """Answer those who examine us."""
        self._transport.handle(ADMISSION_PROTOCOL, self._answer, strangers=True)

    async def examine(self, peer: PeerId) -> None:
        """Return when `peer` may take part. Raises: ProtocolError with why not; TransportError as a request."""
        answer = await self.challenge(peer)
        objection = self._lists.objection_to_us() or self.objection(peer)
        if objection is not None:
            raise objection
        if answer.refused:
            raise ProtocolError("refused_us", f"it does not take this peer in: {answer.refused}")

    async def challenge(self, peer: PeerId) -> ChallengeAnswer:
        """Return the answer of a peer with our key and our authorities, with its allow-list adopted if that is newer.

        Raises: ProtocolError with what is different; TransportError as a request.
        """
        nonce = os.urandom(NONCE_BYTES)
        data = await self._transport.request(peer, ADMISSION_PROTOCOL, encode(Challenge(nonce)))
        answer = decode(data, ChallengeAnswer)
        self._check_key(peer, nonce, answer.proof)
        if answer.policy != self._policy.authority.policy():
            said = "it believes other authorities: compare network.authorities and network.authority_signatures"
            raise ProtocolError("authorities", said)
        if answer.list_version > self._lists.version:
            await self._lists.ask(peer)
        return answer

    def _check_key(self, peer: PeerId, nonce: bytes, proof: bytes | None) -> None:
        key = self._policy.swarm_key
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
        proof, key = None, self._policy.swarm_key
        if key is not None:
            proof = key.proof(run=self._run, prover=self._transport.local_peer, verifier=peer, nonce=nonce)
        proven = self._denied(peer)
        refused = "" if proven is None else proven.detail[:MAX_REFUSED_CHARS]
        return encode(ChallengeAnswer(proof, self._policy.authority.policy(), self._lists.version, refused))
