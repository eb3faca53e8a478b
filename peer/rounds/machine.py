"""The round protocol as one state machine: messages and clock readings in, effects out (docs/protocol.md).

No I/O, no clock, no randomness: the same object runs over libp2p, over an in-memory network and in virtual time.
Methods that take `now` (seconds of the local monotonic clock) return the effects to carry out, in order. This file is
the table of contents; each concept has its own:

    ledger.py             what is held: chain, headers, payloads, votes  (missing_payloads.py: what is not)
    eligibility.py        whose work is taken
    company.py            who can be reached, and what they hold
    inbox.py              messages of others, checked and entered  (equivocation.py: what contradicts itself;
                          tree_room.py: how many manifests there is room for)
    own_work.py           local training, announced  (own_learning.py: what a chain holds of it)
    round_in_progress.py  what the round waits for, whose turn it is  (sealing.py: the arithmetic; group_round.py: the
                          same for large swarms, grouping.py: who is in which group)
    own_seals.py          own seals, made when it is this peer's turn  (sealer.py: headers -> manifest;
                          group_sealer.py: headers -> group seal)
    following.py          which branch to follow, applying it, finality  (voting.py: own votes)
    stinginess.py         what is not followed for admitting too few
    fetches.py            payloads to pull
    snapshots.py          whole states, when replay cannot help
    inquiries.py          whom to ask at once
"""

from collections.abc import Iterable

from peer.errors import ProtocolError
from peer.rounds import anti_entropy
from peer.rounds.company import Company
from peer.rounds.effects import (
    Effect,
    OpenRound,
    Publish,
    Refused,
    SealingPaused,
    SealingResumed,
    SnapshotApplied,
)
from peer.rounds.entry import Entry
from peer.rounds.fetches import Fetches
from peer.rounds.finalising import Finality
from peer.rounds.following import Follower
from peer.rounds.inbox import Inbox
from peer.rounds.inquiries import Inquiries
from peer.rounds.ledger import Ledger
from peer.rounds.own_seals import OwnSeals
from peer.rounds.own_work import OwnWork
from peer.rounds.parts import Aggregate, LocalWork, Parts
from peer.rounds.roster import peers_of
from peer.rounds.round_in_progress import RoundInProgress
from peer.rounds.snapshots import Snapshots
from peer.types import Digest, PeerId, Seconds
from peer.wire.envelope import Signed
from peer.wire.hashing import digest_of
from peer.wire.limits import INLINE_PAYLOAD_BYTES
from peer.wire.messages import DeltaHeader, announcement
from peer.wire.sync import SyncRequest, SyncResponse

__all__ = ["Aggregate", "LocalWork", "Mail", "Parts", "RoundMachine"]

Mail = tuple[bytes, bytes | None, PeerId]
"""A signed envelope, the payload that rides along, and who handed it over."""


class RoundMachine:
    """One peer's view of the chain, the round in progress, and what to do next."""

    def __init__(self, parts: Parts, *, root: Entry, sequence: int, now: Seconds) -> None:
        """root: genesis, or the applied entry of a snapshot. sequence: higher than in any earlier run of this key."""
        self._ledger = Ledger(parts, root)
        self._company = Company(
            self._ledger.me, patience_s=parts.rules.grace_s, pure=parts.pure, crowd=parts.rules.max_electors
        )
        self._round = RoundInProgress(self._ledger, self._company, now=now)
        self._finality = Finality(self._ledger, self._company)
        self._follower = Follower(self._ledger, self._company, self._finality, self._round)
        self._inquiries = Inquiries(self._ledger, self._company, self._round)
        self._inbox = Inbox(self._ledger, self._follower, self._inquiries)
        self._own_work = OwnWork(self._ledger, sequence=sequence)
        self._own_seals = OwnSeals(self._ledger, self._round)
        self._fetches = Fetches(self._ledger)
        self._snapshots = Snapshots(self._ledger, self._company, self._fetches, self._round)
        self._look_at: Seconds | None = None
        self._paused = False
        self._settled: object = None

    # What the surroundings may look at

    @property
    def tip(self) -> Entry:
        return self._ledger.tip

    @property
    def finished(self) -> bool:
        """The run has ended by an agreed stop; the tip's model is the final one."""
        return bool(self.tip.stop)

    @property
    def final_round(self) -> int:
        return self._finality.final_round

    def line(self) -> list[Entry]:
        """Return the chain from the oldest entry kept here to the tip."""
        return self._ledger.line()

    def next_wake(self) -> Seconds | None:
        """Return when `tick` should be called next, None while only messages can change anything."""
        wake = self._own_seals.due_at
        for time in (self._look_at, self._fetches.next_retry(), self._inquiries.wake):
            if time is not None and (wake is None or time < wake):
                wake = time
        return wake

    def members_finished(self) -> bool:
        """Return whether every reachable member is known to have reached the tip."""
        voters = self._ledger.votes.voters(self.tip.round, self.tip.digest, self.tip.model)
        members = peers_of(self.tip.roster) & self._company.reachable
        return all(self._company.last_tip(peer) == self.tip.digest for peer in members - voters)

    def missing_headers(self) -> frozenset[PeerId]:
        """Return the peers whose deltas the round still waits for."""
        return self._round.missing()

    def next_sealer(self) -> PeerId:
        """Return whose turn it is to seal, the unreachable left out."""
        return self._round.next_sealer()

    # Time and company

    def start(self, now: Seconds) -> list[Effect]:
        """Open the first round. Never waits for anybody."""
        return [*self._open_round(now), *self._advance(now)]

    def tick(self, now: Seconds) -> list[Effect]:
        """Let time pass: deadlines, backups, retries."""
        return self._advance(now)

    def reachable(self, peers: frozenset[PeerId], now: Seconds) -> list[Effect]:
        """Say which other peers are connected and were admitted by their card."""
        if self._company.meet(peers, now):
            self._ledger.own.keep_apart()  # whoever came or went may know our chain and go on from it
        return self._advance(now)

    def allow(self, peers: frozenset[PeerId] | None, now: Seconds) -> list[Effect]:
        """Take work of these peers alone from now on; None: everybody's."""
        self._ledger.eligibility.allow(peers)
        return self._advance(now)

    def deny(self, peers: frozenset[PeerId], now: Seconds) -> list[Effect]:
        """Take no work of these peers any more, whoever is allowed."""
        self._ledger.eligibility.deny(peers)
        return self._advance(now)

    # Messages

    def receive(self, data: bytes, *, payload: bytes | None, source: PeerId, now: Seconds) -> list[Effect]:
        """Take in one signed envelope, from gossip or anti-entropy; bad ones come back as `Refused`."""
        return [*self._inbox.take(data, payload, source, now), *self._advance(now)]

    def receive_all(self, mail: Iterable[Mail], now: Seconds) -> list[Effect]:
        """Take in what came at one moment, then move on once: cheaper than `receive` for each."""
        effects: list[Effect] = []
        take = self._inbox.take
        for data, payload, source in mail:
            effects += take(data, payload, source, now)
        return [*effects, *self._advance(now)]

    def sync_request(self) -> SyncRequest:
        """Return what to ask another peer for in an exchange of anti-entropy."""
        if self._follower.repairing:
            return anti_entropy.empty_request(self._ledger)
        return anti_entropy.request(self._ledger, final=self.final_round)

    def answer_sync(self, asked: SyncRequest, *, source: PeerId | None = None) -> SyncResponse:
        """Answer another peer's `sync_request`. source: who asks; a member of another group is spared our headers."""
        return anti_entropy.response(asked, self._ledger, self._snapshots.offer, source=source)

    def receive_sync(
        self, response: SyncResponse, *, source: PeerId, now: Seconds, asked: SyncRequest | None = None
    ) -> list[Effect]:
        """Take in a peer's answer to `sync_request`. asked: what it answers, where that is not from just now."""
        effects: list[Effect] = []
        for data in response.messages:
            effects += self._inbox.take(data, None, source, now)
        self._follower.heard(source, response.tip, is_apart=self._is_apart(response, asked))
        effects += self._advance(now)
        return [*effects, *self._snapshots.consider(response, source, repairing=self._follower.repairing, now=now)]

    def _is_apart(self, response: SyncResponse, asked: SyncRequest | None) -> bool:
        """Return whether the peer that answers holds nothing of our chain.

        If a snapshot has replaced our chain since the question, the answer speaks of the old one. Then the peer is
        apart unless its tip is on our chain.
        """
        if asked is not None and asked.tip.digest not in self._ledger.chain:
            return response.tip.digest not in self._ledger.chain
        return response.snapshot is not None

    # Payloads and snapshots

    def blob(self, digest: Digest) -> bytes | None:
        """Return a held payload or offered snapshot by its hash."""
        return self._ledger.payloads.data(digest) or self._snapshots.data(digest)

    def receive_payload(
        self, payload: Digest, data: bytes, now: Seconds, *, digest: Digest | None = None
    ) -> list[Effect]:
        """Take in a payload that `FetchPayload` asked for. digest: of `data`, where the caller has computed it."""
        self._fetches.done(payload)
        effects: list[Effect] = []
        for header in self._ledger.deltas_lacking(payload):
            try:
                self._ledger.payloads.add(header, data, digest=digest)
            except ProtocolError as error:
                if (digest or digest_of(data)) == payload:
                    self._ledger.payloads.refute(header.message)
                else:
                    self._fetches.failed(payload, now=now)
                effects.append(Refused(reason=error.reason, peer=header.peer, detail=error.detail))
        return [*effects, *self._advance(now)]

    def payload_failed(self, payload: Digest, now: Seconds) -> list[Effect]:
        """Say that no holder served a payload or snapshot; it is asked for again after a pause if still wanted."""
        self._fetches.failed(payload, now=now)
        return self._advance(now)

    def receive_snapshot(self, blob: Digest, data: bytes, *, source: PeerId, now: Seconds) -> list[Effect]:
        """Take in the snapshot `blob` that `FetchSnapshot` asked for.

        It replaces our state if it is ahead of it, or if ours is known to be wrong.
        """
        try:
            entry = self._snapshots.judge(blob, data, repairing=self._follower.repairing, now=now)
        except ProtocolError as error:
            return [Refused(reason=error.reason, peer=source, detail=error.detail)]
        if entry is None:
            return []
        abandoned = self.tip
        self._follower.leave_for(entry)
        dropped = self._ledger.restart_from(entry)
        self._follower.restarted()
        effects: list[Effect] = [
            SnapshotApplied(entry=entry, abandoned=abandoned),
            *dropped,
            *self._inbox.link_orphans(),
        ]
        return [*effects, *self._follower.vote([entry], now), *self._open_round(now), *self._advance(now)]

    # Own work

    def announce(self, work: LocalWork, now: Seconds) -> list[Effect]:
        """Announce local work together with all pieces that the chain does not hold.

        It is kept instead when a manifest has no room for all peers, and others were drawn to contribute to this round.

        Raises: ValueError unless `work.base` is the tip (the caller moves its work to the new base first), or when
        the delta is one that every peer would refuse: not finite, or diverged.
        """
        if not self._round.contributes():
            self._own_work.hold(work)
            self._follower.took_part(self.tip.round + 1)
            return self._advance(now)
        header, payload = self._own_work.announce(work)
        self._follower.took_part(header.message.round)
        return [self._published(header, payload), *self._advance(now)]

    def _published(self, header: Signed[DeltaHeader], payload: bytes) -> Publish:
        inline = payload if len(payload) <= INLINE_PAYLOAD_BYTES else None
        to = None if self._ledger.grouping is None else self._round.groups.audience()
        return Publish(data=announcement(header.data, inline), to=to)

    # Moving on

    def _advance(self, now: Seconds) -> list[Effect]:
        """Do everything that is possible now: follow the best branch, seal, count votes, ask for what is missing."""
        effects: list[Effect] = [*self._follower.doubt()]
        if effects or not self._is_settled(now):
            effects += [self._published(*lost) for lost in [self._own_work.announce_again()] if lost]
            looked_at = self._work()  # before looking: to judge a seal of the own group may bring its payload
            while moved := self._follow(now) or self._seal_if_due(now):
                effects += moved
                looked_at = self._work()
            effects += self._ledger.group_candidates.accusations()
            effects += self._tell_pause()
            self._settled = None if self._company.has_strangers else looked_at
        self._look_at = self._follower.look_again_at(now)
        effects += self._finality.look(now)
        effects += self._fetches.payloads(now)
        elsewhere = self._finality.held_up_by
        effects += self._inquiries.due(final_round=self.final_round, elsewhere=elsewhere, now=now)
        return effects

    def _is_settled(self, now: Seconds) -> bool:
        """Return whether nothing has come but votes and time, and neither can move the tip or make a seal due now."""
        seal_at = self._own_seals.due_at
        is_due = seal_at is not None and now >= seal_at
        if is_due or self._company.has_strangers:
            return False
        if self._work() != self._settled:
            return False
        return self._follower.has_no_choice() or self._follower.rests_on_votes(now)

    def _work(self) -> object:
        """Return what the next tip and the next seal depend on, besides votes and time."""
        return self._ledger.work_version, self._company.alive

    def _tell_pause(self) -> list[Effect]:
        paused = self._round.is_paused() and not self.finished
        if paused == self._paused:
            return []
        self._paused, number = paused, self.tip.round + 1
        if not paused:
            return [SealingResumed(round=number)]
        members = peers_of(self.tip.roster)
        return [SealingPaused(round=number, reachable=len(members & self._company.alive), roster=len(members))]

    def _follow(self, now: Seconds) -> list[Effect]:
        best = self._follower.best(now)
        return [] if best is self.tip else self._move_to(best, now)

    def _seal_if_due(self, now: Seconds) -> list[Effect]:
        seals = self._own_seals
        seals.clear()
        if self.finished or (self._follower.repairing and self._company.reachable):
            return []  # a peer that knows its own state to be wrong seals only when nobody else is there
        if self._ledger.grouping is not None and (sealed_group := seals.seal_group(now)):
            return [sealed_group]
        sealed = seals.seal_round(now)
        if not isinstance(sealed, Entry):
            return [] if sealed is None else [sealed]
        assert sealed.manifest is not None, "only genesis has none"
        return [Publish(data=announcement(sealed.manifest.data, None)), *self._move_to(sealed, now)]

    def _move_to(self, target: Entry, now: Seconds) -> list[Effect]:
        effects = self._follower.move_to(target, sealing_s=self._round.sealing_s(now), now=now)
        return [*effects, *self._open_round(now)] if self.tip is target else effects

    def _open_round(self, now: Seconds) -> list[Effect]:
        """Start the round after the tip with the pieces that the chain lacks, and forget what is out of the window."""
        self._round.open(now)
        if not self._company.reachable <= self.tip.members:
            self._ledger.own.keep_apart()  # outsiders may go on from here too, and no roster would miss them
        self._follower.forget()
        effects: list[Effect] = [*self._inbox.link_orphans()]
        if self.finished:
            return effects
        assert self.tip.state is not None, "the tip is always applied"
        own = self._ledger.own
        unadmitted = own.unadmitted()
        recent = tuple(piece for piece in unadmitted if own.is_recent(piece))
        opened = OpenRound(
            round=self.tip.round + 1,
            base=self.tip,
            state=self.tip.state,
            pieces=recent,
            older_env_steps=sum(piece.env_steps for piece in unadmitted if not own.is_recent(piece)),
            remainder=own.remainder(),
            late_s=now - self._inquiries.heard_at(self.tip.digest, default=now),
        )
        return [*effects, opened]
