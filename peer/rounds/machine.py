"""The round protocol as one state machine: messages and clock readings in, effects out (DESIGN section 4).

No I/O, no clock, no randomness: the same object runs over libp2p, over an in-memory network and in virtual time.
Methods that take `now` (seconds of the local monotonic clock) return the effects to carry out, in order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from peer.codec.codec import Codec
from peer.errors import ProtocolError
from peer.rounds import anti_entropy
from peer.rounds.branches import better
from peer.rounds.chain import Chain
from peer.rounds.effects import (
    Applied,
    Effect,
    FetchPayload,
    FetchSnapshot,
    Finalised,
    ModelDiffers,
    OpenRound,
    PieceDropped,
    Publish,
    Refused,
    SnapshotApplied,
    Switched,
    SyncWith,
)
from peer.rounds.entry import Entry, electorate, entry_of
from peer.rounds.finality import last_final
from peer.rounds.fork_choice import outranks, tie_zone
from peer.rounds.headers import HeaderPool
from peer.rounds.manifest import STOP_RETURN, build_manifest, check_manifest, open_headers, outcome_of
from peer.rounds.own_deltas import OwnDeltas, Piece, l2_norm, sum_pieces
from peer.rounds.payloads import PayloadStore
from peer.rounds.roster import active_peers, majority, peers_of, seal_order
from peer.rounds.rules import RoundRules
from peer.rounds.sealing import SealingView, seal_time
from peer.rounds.snapshot import decode_snapshot, encode_snapshot, max_snapshot_bytes
from peer.rounds.votes import VoteBook
from peer.types import Digest, ModelDelta, ModelSchema, ModelState, PeerId, Seconds
from peer.wire.envelope import AnySigned, Signed, Signer, open_envelope, seal
from peer.wire.hashing import digest_of, model_hash
from peer.wire.limits import INLINE_PAYLOAD_BYTES, MAX_ADMITTED
from peer.wire.messages import Ack, Announcement, DeltaHeader, Manifest, Rejection
from peer.wire.sync import SnapshotOffer, SyncRequest, SyncResponse

Aggregate = Callable[[ModelState, Sequence[tuple[int, ModelDelta]]], ModelState]
"""(base model, (weight, delta) of every admitted peer sorted by peer id) -> next model; exact and pure."""

_MAX_ORPHANS = 64
_MAX_RIVALS = 16
_MAX_VERIFIED = 1024
_SNAPSHOTS_KEPT = 3
_RETRY_S = 1.0
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a machine is made of. run: run id, 16 bytes. codec: name of the one that own deltas use."""

    signer: Signer
    run: bytes
    schema: ModelSchema
    rules: RoundRules
    codecs: dict[str, Codec]
    codec: str
    aggregate: Aggregate


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalWork:
    """One finished stretch of training on `base`, without the pieces that were carried into it.

    eval_return: greedy return of the base model, if measured. NaN is not allowed: pass None for "no episode ended".
    """

    base: Digest
    env_steps: int
    delta: ModelDelta
    steps_per_s: int
    approx_kl: float
    mean_return: float | None
    eval_return: float | None
    tasks: tuple[str, ...]


class RoundMachine:
    """One peer's view of the chain, the round in progress, and what to do next."""

    def __init__(self, parts: Parts, *, root: Entry, sequence: int, now: Seconds) -> None:
        """root: genesis, or the applied entry of a snapshot. sequence: higher than in any earlier run of this key."""
        self._parts = parts
        self._me = parts.signer.peer_id
        self._chain = Chain(root)
        self._pool = HeaderPool()
        self._votes = VoteBook()
        self._payloads = PayloadStore(parts.codecs, parts.schema)
        self._own = OwnDeltas()
        self._sequence = sequence
        self._reachable: frozenset[PeerId] = frozenset()
        self._unheard: dict[PeerId, Seconds] = {}
        self._opened_at = now
        self._complete_since: Seconds | None = None
        self._voted_at: dict[Digest, Seconds] = {}
        self._final_round = root.round
        self._orphans: dict[Digest, Entry] = {}
        self._wrong: set[Digest] = set()
        self._repairing = False
        self._fetching: set[Digest] = set()
        self._retry_at: dict[Digest, Seconds] = {}
        self._asked_since: dict[Digest, Seconds] = {}
        self._verified: dict[Digest, AnySigned] = {}
        self._snapshots: dict[Digest, bytes] = {}
        self._wake: Seconds | None = None

    # What the surroundings may look at

    @property
    def tip(self) -> Entry:
        return self._chain.tip

    @property
    def finished(self) -> bool:
        """The run has ended by an agreed stop; the tip's model is the final one."""
        return bool(self.tip.stop)

    @property
    def final_round(self) -> int:
        return self._final_round

    def line(self) -> list[Entry]:
        """Return the chain from the oldest entry kept here to the tip."""
        return self._chain.line_to(self.tip)

    def next_wake(self) -> Seconds | None:
        """Return when `tick` should be called next, None while only messages can change anything."""
        times = [time for time in (self._wake, *self._retry_at.values()) if time is not None]
        return min(times) if times else None

    def members_finished(self) -> bool:
        """Return whether every reachable member is known to have applied the tip."""
        voters = self._votes.voters(self.tip.parent, self.tip.digest, self.tip.model)
        return (peers_of(self.tip.roster) & self._reachable) <= voters | {self._me}

    def missing_headers(self) -> frozenset[PeerId]:
        """Return the peers whose deltas the round still waits for."""
        return self._expected() - {header.peer for header in self._candidates()}

    def next_sealer(self) -> PeerId:
        """Return whose turn it is to seal, the unreachable left out."""
        return next((peer for peer in self._turns() if peer in self._reachable | {self._me}), self._me)

    # Inputs

    def start(self, now: Seconds) -> list[Effect]:
        """Open the first round. Never waits for anybody."""
        return [*self._open_round(now), *self._advance(now)]

    def tick(self, now: Seconds) -> list[Effect]:
        """Let time pass: deadlines, backups, retries."""
        self._retry_at = {payload: time for payload, time in self._retry_at.items() if time > now}
        return self._advance(now)

    def reachable(self, peers: frozenset[PeerId], now: Seconds) -> list[Effect]:
        """Say which other peers are connected and were admitted by their card."""
        new = peers - self._reachable - {self._me}
        self._reachable = peers - {self._me}
        self._unheard = {peer: self._unheard.get(peer, now) for peer in peers if peer in new or peer in self._unheard}
        return [*(SyncWith(peer=peer) for peer in sorted(new)), *self._advance(now)]

    def receive(self, data: bytes, *, payload: bytes | None, source: PeerId, now: Seconds) -> list[Effect]:
        """Take in one signed envelope, from gossip or anti-entropy; bad ones come back as `Refused`."""
        return [*self._take(data, payload, source), *self._advance(now)]

    def receive_sync(self, response: SyncResponse, *, source: PeerId, now: Seconds) -> list[Effect]:
        """Take in a peer's answer to `sync_request`."""
        self._unheard.pop(source, None)
        effects = [effect for data in response.messages for effect in self._take(data, None, source)]
        return [*effects, *self._advance(now), *self._consider_offer(response, source)]

    def receive_payload(self, payload: Digest, data: bytes, now: Seconds) -> list[Effect]:
        """Take in a payload that `FetchPayload` asked for."""
        self._fetching.discard(payload)
        effects: list[Effect] = []
        for header in self._headers_naming(payload):
            effects += self._keep_payload(header, data, now)
        return [*effects, *self._advance(now)]

    def payload_failed(self, payload: Digest, now: Seconds) -> list[Effect]:
        """Say that no holder served a payload or snapshot; it is asked for again after a pause if still wanted."""
        self._fetching.discard(payload)
        self._retry_at[payload] = now + _RETRY_S
        return self._advance(now)

    def announce(self, work: LocalWork, now: Seconds) -> list[Effect]:
        """Announce local work together with all pieces that the chain does not hold.

        Raises: ValueError unless `work.base` is the tip (the caller moves its work to the new base first), or when
        the delta is one that every peer would refuse: not finite, or diverged.
        """
        if work.base != self.tip.digest:
            raise ValueError("local work must be on the tip; move it to the new base first")
        self._own.add(Piece(round=self.tip.round + 1, env_steps=work.env_steps, delta=work.delta))
        pieces = self._own.unadmitted(self._is_admitted)
        total = sum_pieces(list(pieces.values()))
        payload = self._parts.codecs[self._parts.codec].encode(total.delta)
        header = self._sign_header(work, total, payload)
        try:
            self._payloads.add(header, payload)
        except ProtocolError as error:
            raise ValueError(f"own delta is unusable: {error}") from error
        self._own.announce(header.digest, pieces.keys())
        self._pool.add(header)
        inline = payload if len(payload) <= INLINE_PAYLOAD_BYTES else None
        return [Publish(data=_announcement(header.data, inline)), *self._advance(now)]

    def sync_request(self) -> SyncRequest:
        if self._repairing:  # claim to have nothing, so that the answer offers a snapshot
            return SyncRequest(anti_entropy.tip_of(self._chain.root), (), (), ())
        return anti_entropy.request(self._chain, self._pool, self._votes)

    def answer_sync(self, asked: SyncRequest) -> SyncResponse:
        return anti_entropy.response(asked, self._chain, self._pool, self._votes, self._offer())

    def blob(self, digest: Digest) -> bytes | None:
        """Return a held payload or offered snapshot by its hash."""
        return self._payloads.data(digest) or self._snapshots.get(digest)

    def receive_snapshot(self, data: bytes, *, source: PeerId, now: Seconds) -> list[Effect]:
        """Take over a whole state, if it is ahead of ours (or ours is known to be wrong)."""
        self._fetching.discard(digest_of(data))
        try:
            entry = decode_snapshot(data, run=self._parts.run, schema=self._parts.schema)
        except ProtocolError as error:
            return [Refused(reason=error.reason, peer=source, detail=error.detail)]
        if not self._repairing and not outranks(entry, self.tip, history=self._parts.rules.history):
            self._retry_at[digest_of(data)] = now + _RETRY_S
            return []
        pieces = self._own.unadmitted(self._is_admitted)
        self._restart_from(entry)
        effects: list[Effect] = [SnapshotApplied(entry=entry)]
        if pieces:
            steps = sum(piece.env_steps for piece in pieces.values())
            effects.append(PieceDropped(pieces=len(pieces), env_steps=steps))
        return [*effects, *self._vote([entry], now), *self._open_round(now), *self._advance(now)]

    # Taking messages in

    def _take(self, data: bytes, payload: bytes | None, source: PeerId) -> list[Effect]:
        try:
            signed = self._open(data)
        except ProtocolError as error:
            return [Refused(reason=error.reason, peer=source, detail=error.detail)]
        try:
            return self._accept(signed, payload)
        except ProtocolError as error:
            return [Refused(reason=error.reason, peer=signed.peer, detail=error.detail)]

    def _open(self, data: bytes) -> AnySigned:
        key = digest_of(data)
        signed = self._verified.get(key)
        if signed is None:
            signed = self._verified[key] = open_envelope(data, run=self._parts.run)
            if len(self._verified) > _MAX_VERIFIED:
                del self._verified[next(iter(self._verified))]
        return signed

    def _accept(self, signed: AnySigned, payload: bytes | None) -> list[Effect]:
        message = signed.message
        if isinstance(message, DeltaHeader):
            return self._accept_header(
                Signed(peer=signed.peer, message=message, digest=signed.digest, data=signed.data), payload
            )
        if isinstance(message, Manifest):
            return self._accept_manifest(
                Signed(peer=signed.peer, message=message, digest=signed.digest, data=signed.data)
            )
        if isinstance(message, Ack):
            if message.round >= self._chain.root.round:
                self._votes.add(Signed(peer=signed.peer, message=message, digest=signed.digest, data=signed.data))
            return []
        raise ProtocolError("malformed", "a peer card is not gossip")

    def _accept_header(self, header: Signed[DeltaHeader], payload: bytes | None) -> list[Effect]:
        if header.peer == self._me:
            return []  # our own words come back by anti-entropy
        self._payloads.check_header(header.message)
        base = self._chain.get(header.message.base)
        if base is not None and header.message.round != base.round + 1:
            raise ProtocolError("bad_header", f"round {header.message.round} on a base of round {base.round}")
        if base is None and header.message.round <= self._chain.root.round:
            return []  # of a round long past
        self._pool.add(header)
        if payload is not None and header.message.payload not in self._payloads:
            self._payloads.add(header, payload)
        return []

    def _accept_manifest(self, manifest: Signed[Manifest]) -> list[Effect]:
        if manifest.digest in self._chain or manifest.digest in self._orphans or manifest.digest in self._wrong:
            return []
        if manifest.message.round <= self._chain.root.round:
            return []
        headers = open_headers(manifest.message, run=self._parts.run)
        for header in headers:
            self._payloads.check_header(header.message)
        entry = entry_of(manifest, headers)
        if entry.parent in self._chain:
            return self._link(entry)
        self._orphans[entry.digest] = entry
        if len(self._orphans) > _MAX_ORPHANS:
            del self._orphans[next(iter(self._orphans))]
        return []

    def _link(self, entry: Entry) -> list[Effect]:
        """Add a manifest whose parent is known, then the orphans that waited for it."""
        effects: list[Effect] = []
        waiting = [entry]
        while waiting:
            child = waiting.pop()
            parent = self._chain.get(child.parent)
            if parent is None:
                continue
            try:
                check_manifest(parent, child, self._parts.rules)
                if sum(other.parent == child.parent for other in self._chain) >= _MAX_RIVALS:
                    raise ProtocolError("too_many_rivals", f"for round {child.round}")
            except ProtocolError as error:
                effects.append(Refused(reason=error.reason, peer=child.sealer or self._me, detail=error.detail))
                continue
            self._chain.add(child)
            ready = [orphan for orphan in self._orphans.values() if orphan.parent == child.digest]
            for orphan in ready:
                del self._orphans[orphan.digest]
            waiting += ready
        return effects

    def _keep_payload(self, header: Signed[DeltaHeader], data: bytes, now: Seconds) -> list[Effect]:
        try:
            self._payloads.add(header, data)
        except ProtocolError as error:
            self._retry_at[Digest(header.message.payload)] = now + _RETRY_S
            return [Refused(reason=error.reason, peer=header.peer, detail=error.detail)]
        return []

    # Moving on

    def _advance(self, now: Seconds) -> list[Effect]:
        """Do everything that is possible now: follow the best branch, seal, count votes, ask for what is missing."""
        effects: list[Effect] = []
        while moved := self._follow_best(now) or self._seal_if_due(now):
            effects += moved
        return [*effects, *self._finalise(), *self._request_missing()]

    def _follow_best(self, now: Seconds) -> list[Effect]:
        best = self.tip
        for entry in self._chain:
            if entry is not best and self._can_apply(entry) and self._is_better(entry, best, now):
                best = entry
        return [] if best is self.tip else self._move_to(best, now)

    def _is_better(self, challenger: Entry, current: Entry, now: Seconds) -> bool:
        ancestor, _, _ = self._chain.fork(current, challenger)
        rules = self._parts.rules
        return better(
            challenger,
            current,
            chain=self._chain,
            votes=self._votes,
            me=self._me,
            held_s=now - self._voted_at.get(ancestor.digest, now),
            patience_s=rules.grace_s,
            reachable=self._reachable | {self._me},
        )

    def _can_apply(self, entry: Entry) -> bool:
        return not self._missing_payloads(entry)

    def _missing_payloads(self, entry: Entry) -> list[tuple[Entry, Signed[DeltaHeader]]]:
        """Return the admitted headers without payload between the nearest applied ancestor and `entry`."""
        missing: list[tuple[Entry, Signed[DeltaHeader]]] = []
        current: Entry | None = entry
        while current is not None and current.state is None:
            if current.stop != STOP_RETURN:
                missing += [
                    (current, header) for header in current.headers if header.message.payload not in self._payloads
                ]
            current = self._chain.get(current.parent)
        return missing

    def _move_to(self, target: Entry, now: Seconds) -> list[Effect]:
        ancestor, undone, path = self._chain.fork(self.tip, target)
        sealing_s = max(0.0, now - self._opened_at - self._parts.rules.train_s)
        for entry in path:
            if entry.state is None and (differs := self._apply(entry)):
                return [differs]
        self._chain.tip = target
        self._final_round = min(self._final_round, ancestor.round)
        effects: list[Effect] = []
        if undone:
            effects.append(Switched(undone=tuple(undone), ancestor_round=ancestor.round, to=target))
        for parent, entry in zip([ancestor, *path], path, strict=False):
            effects.append(Applied(entry=entry, parent=parent, sealing_s=sealing_s))
        return [*effects, *self._vote(path, now), *self._open_round(now)]

    def _apply(self, entry: Entry) -> ModelDiffers | None:
        """Compute the model after `entry`; a manifest that names another one leaves the chain."""
        parent = self._chain.get(entry.parent)
        assert parent is not None
        assert parent.state is not None
        state = self._next_state(parent.state, entry.headers, keeps_model=entry.stop == STOP_RETURN)
        computed = model_hash(state)
        if computed == entry.model:
            entry.state = state
            return None
        members = electorate(parent, entry)
        agreeing = self._votes.voters(entry.parent, entry.digest, entry.model) & members
        self._repairing = len(agreeing) >= majority(len(members))
        self._chain.remove_branch(entry)
        if not self._repairing:
            self._wrong.add(entry.digest)
        return ModelDiffers(entry=entry, computed=computed, repairing=self._repairing)

    def _next_state(self, base: ModelState, headers: Sequence[Signed[DeltaHeader]], *, keeps_model: bool) -> ModelState:
        if keeps_model:
            return base
        return self._parts.aggregate(
            base,
            [(header.message.env_steps, self._payloads.delta(header.message.payload)) for header in headers],
        )

    def _vote(self, path: Sequence[Entry], now: Seconds) -> list[Effect]:
        """Ack each applied entry, unless a rival of it got our vote before."""
        effects: list[Effect] = []
        for entry in path:
            if self._votes.vote_of(self._me, entry.parent) is not None:
                continue
            ack = seal(
                Ack(entry.round, entry.parent, entry.digest, entry.model),
                self._parts.signer,
                run=self._parts.run,
            )
            self._votes.add(ack)
            self._voted_at[entry.parent] = now
            effects.append(Publish(data=_announcement(ack.data, None)))
        return effects

    def _open_round(self, now: Seconds) -> list[Effect]:
        """Start the round after the tip with the pieces that the chain lacks, and forget what is out of the window."""
        self._opened_at = now
        self._complete_since = None
        self._wake = None
        effects = self._forget()
        if self.finished:
            return effects
        assert self.tip.state is not None
        pieces = tuple(self._own.unadmitted(self._is_admitted).values())
        return [
            *effects,
            OpenRound(round=self.tip.round + 1, base=self.tip, state=self.tip.state, pieces=pieces),
        ]

    def _forget(self) -> list[Effect]:
        before = self._own.unadmitted(self._is_admitted)
        self._chain.prune(history=self._parts.rules.history)
        root_round = self._chain.root.round
        self._own.forget(before_round=root_round + 1)
        kept = self._own.unadmitted(self._is_admitted)
        dropped = [piece for number, piece in before.items() if number not in kept]
        self._orphans = {digest: entry for digest, entry in self._orphans.items() if entry.round > root_round}
        parents = {entry.digest for entry in self._chain} | {entry.parent for entry in self._chain}
        self._votes.forget(keep=parents)
        self._voted_at = {parent: time for parent, time in self._voted_at.items() if parent in parents}
        self._pool.forget(keep=self._recent_bases())
        self._payloads.forget(keep={Digest(header.message.payload) for header in self._relevant_headers()})
        if not dropped:
            return []
        return [PieceDropped(pieces=len(dropped), env_steps=sum(piece.env_steps for piece in dropped))]

    def _recent_bases(self) -> set[Digest]:
        """Bases whose headers may still be sealed or switched to: near the tip, or not known here yet."""
        known = {entry.digest for entry in self._chain if entry.round >= self.tip.round - 1}
        return known | {base for base in self._pool.bases() if base not in self._chain}

    def _restart_from(self, entry: Entry) -> None:
        self._chain = Chain(entry)
        self._final_round = entry.round
        self._own.clear()
        self._repairing = False
        self._wrong.clear()
        for orphan in [orphan for orphan in self._orphans.values() if orphan.parent == entry.digest]:
            del self._orphans[orphan.digest]
            self._link(orphan)

    # Sealing

    def _seal_if_due(self, now: Seconds) -> list[Effect]:
        self._wake = None
        if self.finished:
            return []
        due = seal_time(self._sealing_view(now), self._parts.rules)
        if due is None:
            return []
        due = max(due, self._patience_for_children(now), self._patience_for_strangers())
        if now < due:
            self._wake = due
            return []
        return self._seal(now)

    def _sealing_view(self, now: Seconds) -> SealingView:
        expected = self._expected()
        candidates = {header.peer for header in self._candidates()}
        if not expected <= candidates:
            self._complete_since = None
        elif self._complete_since is None:
            self._complete_since = now
        turns = self._turns()
        before = turns[: turns.index(self._me)] if self._me in turns else turns
        return SealingView(
            opened_at=self._opened_at,
            complete_since=self._complete_since,
            candidates=len(candidates),
            expected=len(expected),
            backups_before=sum(peer in self._reachable for peer in before),
            first_in_turn=not before,
            outsider=self._me not in turns and bool(set(turns) & self._reachable),
        )

    def _patience_for_children(self, now: Seconds) -> Seconds:
        """While payloads of a known successor are on their way, do not seal a rival; but not for ever."""
        children = [entry for entry in self._chain if entry.parent == self.tip.digest]
        since = [self._asked_since.setdefault(entry.digest, now) for entry in children]
        return max((start + self._parts.rules.grace_s for start in since), default=now)

    def _patience_for_strangers(self) -> Seconds:
        """Hear a newly reachable peer's tip before sealing, so that a joiner does not seal beside the swarm."""
        return max((since + self._parts.rules.grace_s for since in self._unheard.values()), default=0.0)

    def _expected(self) -> frozenset[PeerId]:
        """Peers worth waiting for: reachable members that took part last time; after genesis, all reachable."""
        members = active_peers(self.tip.roster) if self.tip.roster else self._reachable
        return (members & self._reachable) | {self._me}

    def _turns(self) -> list[PeerId]:
        members = peers_of(self.tip.roster) or self._reachable | {self._me}
        return seal_order(self.tip.digest, members)

    def _candidates(self) -> list[Signed[DeltaHeader]]:
        headers = self._pool.on_base(self.tip.digest)
        return [header for header in headers if header.message.payload in self._payloads]

    def _seal(self, now: Seconds) -> list[Effect]:
        parent = self.tip
        assert parent.state is not None
        admitted = self._choose(self._candidates())
        outcome = outcome_of(parent, admitted, self._parts.rules)
        state = self._next_state(parent.state, admitted, keeps_model=outcome.keeps_model)
        chosen = {header.digest for header in admitted}
        rejected = [
            Rejection(header.digest, "no_payload" if header.message.payload not in self._payloads else "full")
            for header in self._pool.on_base(parent.digest)
            if header.digest not in chosen
        ]
        manifest = seal(
            build_manifest(
                parent,
                admitted,
                sealer=self._me,
                rejected=rejected[:MAX_ADMITTED],
                outcome=outcome,
                model=model_hash(state),
            ),
            self._parts.signer,
            run=self._parts.run,
        )
        entry = entry_of(manifest, tuple(admitted))
        entry.state = state
        self._chain.add(entry)
        return [Publish(data=_announcement(manifest.data, None)), *self._move_to(entry, now)]

    def _choose(self, candidates: list[Signed[DeltaHeader]]) -> list[Signed[DeltaHeader]]:
        """Return at most MAX_ADMITTED of them, drawn by hash so that nobody is left out twice in a row by name."""
        lucky = set(seal_order(self.tip.digest, (header.peer for header in candidates))[:MAX_ADMITTED])
        return [header for header in candidates if header.peer in lucky]

    # Finality, repair, help

    def _finalise(self) -> list[Effect]:
        line = self._chain.line_to(self.tip)
        newest = last_final(line, self._votes, reachable=self._reachable)
        if newest is None or newest.round <= self._final_round:
            return []
        newly = [entry for entry in line if self._final_round < entry.round <= newest.round]
        self._final_round = newest.round
        return [Finalised(entry=entry) for entry in newly]

    def _request_missing(self) -> list[Effect]:
        """Ask for payloads of announced deltas, and of manifests that would move the tip."""
        wanted: dict[Digest, tuple[Signed[DeltaHeader], tuple[PeerId, ...]]] = {
            Digest(header.message.payload): (header, (header.peer,)) for header in self._pool.on_base(self.tip.digest)
        }
        for entry in self._chain:
            if entry.state is None and (entry.score, entry.round) >= (self.tip.score, self.tip.round):
                for holder_entry, header in self._missing_payloads(entry):
                    sealer = holder_entry.sealer or header.peer
                    wanted[Digest(header.message.payload)] = (header, (sealer, header.peer))
        effects: list[Effect] = []
        for payload, (header, holders) in wanted.items():
            if payload in self._payloads or payload in self._fetching or payload in self._retry_at:
                continue
            self._fetching.add(payload)
            effects.append(FetchPayload(payload=payload, payload_bytes=header.message.payload_bytes, holders=holders))
        return effects

    def _consider_offer(self, response: SyncResponse, source: PeerId) -> list[Effect]:
        offer = response.snapshot
        if offer is None or offer.blob in self._fetching or offer.blob in self._retry_at:
            return []
        near = offer.tip.score + tie_zone(self.tip, history=self._parts.rules.history) > self.tip.score
        if not self._repairing and (not near or offer.tip.digest in self._chain):
            return []
        if offer.blob_bytes > max_snapshot_bytes(self._parts.schema):
            return [Refused(reason="oversize", peer=source, detail=f"a snapshot of {offer.blob_bytes} bytes")]
        self._fetching.add(Digest(offer.blob))
        return [FetchSnapshot(offer=offer, holder=source)]

    def _offer(self) -> SnapshotOffer | None:
        if self.tip.manifest is None:
            return None
        data = encode_snapshot(self.tip)
        blob = digest_of(data)
        self._snapshots[blob] = data
        while len(self._snapshots) > _SNAPSHOTS_KEPT:
            del self._snapshots[next(iter(self._snapshots))]
        return SnapshotOffer(anti_entropy.tip_of(self.tip), blob, len(data))

    # Small questions

    def _is_admitted(self, header: Digest) -> bool:
        return any(entry.admits(header) for entry in self._chain.line_to(self.tip))

    def _headers_naming(self, payload: Digest) -> list[Signed[DeltaHeader]]:
        named = {header.digest: header for header in self._relevant_headers() if header.message.payload == payload}
        return list(named.values())[:1]

    def _relevant_headers(self) -> list[Signed[DeltaHeader]]:
        pooled = [header for base in self._pool.bases() for header in self._pool.on_base(base)]
        return pooled + [header for entry in self._chain for header in entry.headers]

    def _sign_header(self, work: LocalWork, total: Piece, payload: bytes) -> Signed[DeltaHeader]:
        self._sequence += 1
        header = DeltaHeader(
            round=self.tip.round + 1,
            base=self.tip.digest,
            sequence=self._sequence,
            payload=digest_of(payload),
            payload_bytes=len(payload),
            codec=self._parts.codec,
            env_steps=total.env_steps,
            steps_per_s=work.steps_per_s,
            l2_norm=l2_norm(total.delta.params),
            approx_kl=work.approx_kl,
            mean_return=work.mean_return,
            eval_return=work.eval_return,
            tasks=work.tasks,
        )
        return seal(header, self._parts.signer, run=self._parts.run)


def _announcement(envelope: bytes, payload: bytes | None) -> bytes:
    return _encode(Announcement(envelope, payload))
