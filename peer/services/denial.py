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
from peer.rounds.effects import Applied, Effect, Equivocated, SnapshotApplied
from peer.rounds.entry import Entry
from peer.rounds.equivocation import Proof, check_proof
from peer.services.blocking import RunBlocking, attempt
from peer.services.refusals import tell_refused
from peer.services.service import TaskStatus
from peer.storage.proofs_file import load_proofs, save_proofs
from peer.telemetry.counters import Counters
from peer.telemetry.disk_events import StateDamaged
from peer.telemetry.peer_events import PeerDenied
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.limits import MAX_DENIED, MAX_PASSED_PROOFS
from peer.wire.proofs import PROOFS_PROTOCOL, ProofPair, ProofsRequest, ProofsResponse, decode, encode

_PASS_ON_S: Seconds = 5.0
"""Between two looks at whether a random peer has other proofs. News are passed on at once."""
_REQUEST_S: Seconds = 5.0


class DenialDesk:
    """An observer of the round machine that keeps and spreads proofs.

    Where there is no room, proofs against peers that were on a roster displace those against others, which cost nothing
    to make. admitted: whom to ask and tell. concerns: whether a peer is one that could take part at all; proofs against
    others are of no use. changed: told who is denied now.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        run: bytes,
        file: Path | None,
        sink: EventSink,
        counters: Counters,
        rng: random.Random,
        blocking: RunBlocking,
        admitted: Callable[[], Iterable[PeerId]] = tuple,
        concerns: Callable[[PeerId], bool] = lambda _: True,
    ) -> None:
        self._transport = transport
        self._run = run
        self._file = file
        self._sink = sink
        self._counters = counters
        self._rng = rng
        self._blocking = blocking
        self._admitted = admitted
        self._concerns = concerns
        self._proofs: dict[PeerId, Proof] = {}
        self._members: set[PeerId] = set()  # of those denied: who was on a roster
        self._newest: Entry | None = None
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
        elif isinstance(effect, Applied | SnapshotApplied):
            self._newest = effect.entry
            self._members.update(filter(self._was_member, self._proofs))

    def _was_member(self, peer: PeerId) -> bool:
        """Return whether a peer is known to be, or to have been, on a roster."""
        entry = self._newest
        return peer in self._members or (
            entry is not None and (peer in entry.members or entry.left_in(peer) is not None)
        )

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Pass proofs on until cancelled."""
        self._transport.handle(PROOFS_PROTOCOL, self._answer)
        task_status.started()
        told = self.denied
        while True:
            with trio.move_on_after(_PASS_ON_S):
                await self._news.wait()
            self._news = trio.Event()
            askers, self._askers = self._askers, set()
            admitted = sorted(self._admitted())
            whom = admitted if self.denied != told else sorted(askers & set(admitted))
            told = self.denied  # not later: others may come while these are asked
            whom = whom or self._rng.sample(admitted, min(1, len(admitted)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.save)
                for peer in whom:
                    nursery.start_soon(partial(self._exchange, peer))

    async def save(self) -> None:
        """Write the proofs, if there are new ones and a place for them."""
        if self._file is None or not self._unsaved:
            return
        first, last = self._parted(self._proofs)  # so that the next process drops the same ones first
        pairs = [(proof.first, proof.second) for proof in map(self._proofs.__getitem__, [*first, *last])]
        write, operation = partial(save_proofs, self._file, pairs), "save the proofs against denied peers"
        self._unsaved = False  # before: more may come while the disk is busy
        if not await attempt(write, operation=operation, sink=self._sink, blocking=self._blocking):
            self._unsaved = True

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
        if not self._make_room(proof.peer):
            return
        if self._was_member(proof.peer):
            self._members.add(proof.peer)
        self._proofs[proof.peer] = proof
        self._unsaved = True
        self._sink.emit(PeerDenied(remote=proof.peer, what=proof.what, source=source))
        self._news.set()
        self.changed(self.denied)

    def _make_room(self, peer: PeerId) -> bool:
        """Return whether a proof against `peer` can be kept, at the cost of another if need be."""
        if len(self._proofs) < MAX_DENIED:
            return True
        if not self._was_member(peer):
            return False
        members, others = self._parted(self._proofs)
        spared = others[-1] if others else members[0]
        del self._proofs[spared]
        self._members.discard(spared)
        return True

    def _parted(self, peers: Iterable[PeerId]) -> tuple[list[PeerId], list[PeerId]]:
        """Return those that were on a roster, and the others."""
        known = list(peers)
        return [peer for peer in known if peer in self._members], [peer for peer in known if peer not in self._members]

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
            tell_refused(error, peer, counters=self._counters, sink=self._sink)

    async def _answer(self, peer: PeerId, data: bytes) -> bytes:
        known = set(map(PeerId, decode(data, ProofsRequest).denied))
        news = known - self._proofs.keys()
        if news and (len(self._proofs) < MAX_DENIED or any(map(self._was_member, news))):  # else it finds no room
            self._askers.add(peer)
            self._news.set()
        members, others = self._parted(subject for subject in self._proofs if subject not in known)
        lacking = [*self._rng.sample(members, len(members)), *self._rng.sample(others, len(others))]
        passed = [self._proofs[subject] for subject in lacking[:MAX_PASSED_PROOFS]]
        return encode(ProofsResponse(tuple(ProofPair(proof.first, proof.second) for proof in passed)))
