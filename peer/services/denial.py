"""The deny-list: peers against whom there is proof that they contradicted themselves, passed on and kept.

A proof needs no trust in whoever brings it, and no vote: everybody who holds it comes to the same judgement. What
follows is what follows from an allow-list that a peer was taken off (docs/adr/0040): it is not admitted, its work is
not sealed, and manifests that hold it are unwelcome, but stay valid.
"""

import random
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Never

import trio

from peer.errors import ProtocolError, StorageError, TransportError
from peer.network.transport import Transport
from peer.rounds.effects import Effect, Equivocated
from peer.rounds.equivocation import Proof, check_proof
from peer.services.service import RunBlocking, TaskStatus
from peer.storage.proofs_file import load_proofs, save_proofs
from peer.telemetry.disk_events import StateDamaged, StorageFailed
from peer.telemetry.peer_events import MessageRefused, PeerDenied
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.limits import MAX_DENIED, MAX_PASSED_PROOFS
from peer.wire.proofs import PROOFS_PROTOCOL, ProofPair, ProofsRequest, ProofsResponse, decode, encode

_PASS_ON_S: Seconds = 5.0
"""Between two looks at whether a random peer has other proofs. News are passed on at once."""
_REQUEST_S: Seconds = 5.0


class DenialDesk:
    """An observer of the round machine that keeps and spreads proofs.

    admitted: whom to ask and tell. concerns: whether a peer is one that could take part at all; proofs against others
    are of no use. changed: told who is denied now.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        run: bytes,
        file: Path | None,
        sink: EventSink,
        rng: random.Random,
        blocking: RunBlocking,
        admitted: Callable[[], Iterable[PeerId]] = tuple,
        concerns: Callable[[PeerId], bool] = lambda _: True,
    ) -> None:
        self._transport = transport
        self._run = run
        self._file = file
        self._sink = sink
        self._rng = rng
        self._blocking = blocking
        self._admitted = admitted
        self._concerns = concerns
        self._proofs: dict[PeerId, Proof] = {}
        self._news = trio.Event()
        self._askers: set[PeerId] = set()
        self._unsaved = False
        self.changed: Callable[[frozenset[PeerId]], None] = lambda _: None
        self._load()

    @property
    def denied(self) -> frozenset[PeerId]:
        return frozenset(self._proofs)

    def told(self) -> dict[PeerId, str]:
        """Return why each denied peer is, for people."""
        return {peer: proof.what for peer, proof in self._proofs.items()}

    def objection(self, peer: PeerId) -> ProtocolError | None:
        """Return why `peer` may not take part, None when there is no proof against it."""
        proof = self._proofs.get(peer)
        if proof is None:
            return None
        return ProtocolError("denied", f"there is proof against this identity: {proof.what}")

    def observe(self, effect: Effect) -> None:
        if isinstance(effect, Equivocated):
            self._adopt(effect.proof, source=None)

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Pass proofs on until cancelled."""
        self._transport.handle(PROOFS_PROTOCOL, self._answer)
        task_status.started()
        while True:
            told = self.denied
            with trio.move_on_after(_PASS_ON_S):
                await self._news.wait()
            self._news = trio.Event()
            askers, self._askers = self._askers, set()
            admitted = sorted(self._admitted())
            whom = admitted if self.denied != told else sorted(askers & set(admitted))
            whom = whom or self._rng.sample(admitted, min(1, len(admitted)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.save)
                for peer in whom:
                    nursery.start_soon(partial(self._exchange, peer))

    async def save(self) -> None:
        """Write the proofs, if there are new ones and a place for them."""
        if self._file is None or not self._unsaved:
            return
        pairs = [(proof.first, proof.second) for proof in self._proofs.values()]
        self._unsaved = False
        try:
            await self._blocking(partial(save_proofs, self._file, pairs))
        except StorageError as error:
            self._unsaved = True
            self._sink.emit(StorageFailed(operation="save the proofs against denied peers", cause=str(error)))

    def _load(self) -> None:
        if self._file is None:
            return
        try:
            for first, second in load_proofs(self._file)[-MAX_DENIED:]:
                proof = check_proof(first, second, run=self._run)
                self._proofs[proof.peer] = proof
        except (StorageError, ProtocolError) as error:
            remedy = "others bring the proofs again"
            self._sink.emit(StateDamaged(path=str(self._file), cause=str(error), remedy=remedy))

    def _adopt(self, proof: Proof, *, source: PeerId | None) -> None:
        """Deny a peer. source: who brought the proof, None when it was seen here."""
        if proof.peer in self._proofs or not self._concerns(proof.peer):
            return
        while len(self._proofs) >= MAX_DENIED:
            del self._proofs[next(iter(self._proofs))]
        self._proofs[proof.peer] = proof
        self._unsaved = True
        self._sink.emit(PeerDenied(remote=proof.peer, what=proof.what, source=source))
        self._news.set()
        self.changed(self.denied)

    async def _exchange(self, peer: PeerId) -> None:
        """Ask for proofs, and show which we have. Failing is normal: the next exchange follows."""
        asked = encode(ProofsRequest(tuple(sorted(self._proofs))))
        try:
            with trio.fail_after(_REQUEST_S):
                answer = decode(await self._transport.request(peer, PROOFS_PROTOCOL, asked), ProofsResponse)
            for pair in answer.proofs:
                self._adopt(check_proof(pair.first, pair.second, run=self._run), source=peer)
        except (TransportError, trio.TooSlowError):
            return
        except ProtocolError as error:
            self._sink.emit(MessageRefused(remote=peer, reason=error.reason, detail=error.detail))

    async def _answer(self, peer: PeerId, data: bytes) -> bytes:
        known = set(decode(data, ProofsRequest).denied)
        if known - self._proofs.keys():
            self._askers.add(peer)
            self._news.set()
        lacking = [proof for subject, proof in self._proofs.items() if subject not in known]
        passed = self._rng.sample(lacking, min(len(lacking), MAX_PASSED_PROOFS))
        return encode(ProofsResponse(tuple(ProofPair(proof.first, proof.second) for proof in passed)))
