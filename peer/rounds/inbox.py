"""What comes in from others: checked, and entered into the ledger."""

from collections.abc import Callable, Sequence

from peer.errors import ProtocolError
from peer.rounds.effects import Equivocated, Refused
from peer.rounds.entry import Entry, entry_of, entry_of_groups
from peer.rounds.equivocation import Proof, Witness
from peer.rounds.following import Follower
from peer.rounds.inquiries import Inquiries
from peer.rounds.ledger import Ledger
from peer.rounds.tree_room import TreeRoom
from peer.types import Digest, ModelDelta, PeerId, Seconds
from peer.wire.envelope import AnySigned, Signed, SignedDelta, SignedManifest
from peer.wire.limits import MAX_ADMITTED
from peer.wire.messages import Ack, DeltaHeader, GroupSeal, Manifest, TopManifest

_MAX_ORPHANS = 64
_MAX_INCOMPLETE = 16
"""Top manifests that wait for group seals: named by 64 digests each at most, and asked for at their source."""
_MAX_VERIFIED = 512
_MAX_ROUNDS_AHEAD = 32
"""Votes further ahead than this are of no use before the manifests between have come, and they will come again."""


class Inbox:
    """Refuses what is wrong, keeps what waits for its parent, links the rest into the chain."""

    def __init__(self, ledger: Ledger, follower: Follower, inquiries: Inquiries) -> None:
        self._ledger = ledger
        self._follower = follower
        self._inquiries = inquiries
        self._room = TreeRoom(ledger)
        self._orphans: dict[Digest, Entry] = {}
        self._incomplete: dict[Digest, Signed[TopManifest]] = {}
        self._wanted: dict[Digest, Signed[GroupSeal]] = {}
        self._verified: dict[bytes, AnySigned] = {}
        self._witness = Witness()
        self._proofs: list[Proof] = []
        self._arms: dict[type, Callable[..., Sequence[Refused]]] = {
            Ack: self._accept_ack,
            DeltaHeader: self._accept_header,
            GroupSeal: self._accept_group_seal,
            Manifest: self._accept_manifest,
            TopManifest: self._accept_top,
        }

    def take(self, data: bytes, payload: bytes | None, source: PeerId, now: Seconds) -> Sequence[Refused | Equivocated]:
        """Take in one envelope that `source` handed over."""
        author = source
        try:
            signed = self._verified.get(data) or self._open_first(data, run=self._ledger.parts.run)
            author = signed.peer
            arm = self._arms.get(type(signed.message))
            if arm is None:
                raise ProtocolError("malformed", "a peer card is not gossip")
            refused = arm(signed, payload, source, now)
        except ProtocolError as error:
            refused = [Refused(reason=error.reason, peer=author, detail=error.detail)]
        if not self._proofs:
            return refused
        proofs, self._proofs = self._proofs, []
        return [*(Equivocated(proof=proof) for proof in proofs), *refused]

    def link_orphans(self) -> list[Refused]:
        """Link what waited for entries that are known by now; drop what is too old to matter."""
        refused: list[Refused] = []
        while ready := [orphan for orphan in self._orphans.values() if orphan.parent in self._ledger.chain]:
            for orphan in ready:
                del self._orphans[orphan.digest]
                refused += self._link(orphan)
        self._witness.forget(tip_round=self._ledger.tip.round)
        root_round = self._ledger.chain.root.round
        self._orphans = {digest: entry for digest, entry in self._orphans.items() if entry.round > root_round}
        self._incomplete = {digest: top for digest, top in self._incomplete.items() if top.message.round > root_round}
        return refused

    def _open(self, data: bytes, *, run: bytes) -> AnySigned:
        """Open an envelope, or recall it: the headers of a manifest came by gossip before."""
        return self._verified.get(data) or self._open_first(data, run=run)

    def _open_first(self, data: bytes, *, run: bytes) -> AnySigned:
        signed = self._verified[data] = self._ledger.parts.pure.open(data, run=run)
        proof = None if signed.peer == self._ledger.me else self._witness.see(signed)
        if proof is not None:
            self._proofs.append(proof)
            self._ledger.discard_votes(proof.peer)
        if len(self._verified) > _MAX_VERIFIED:
            del self._verified[next(iter(self._verified))]
        return signed

    def _accept_header(
        self, header: Signed[DeltaHeader], payload: bytes | None, source: PeerId, now: Seconds
    ) -> Sequence[Refused]:
        ledger = self._ledger
        if header.peer == ledger.me:
            return ()  # our own words come back by anti-entropy
        ledger.eligibility.check(header.peer)
        ledger.payloads.check_header(header.message)
        base = ledger.chain.get(header.message.base)
        if base is not None and header.message.round != base.round + 1:
            raise ProtocolError("bad_header", f"round {header.message.round} on a base of round {base.round}")
        if base is None:
            if header.message.round <= ledger.chain.root.round:
                return ()  # of a round long past
            if header.message.round > ledger.tip.round:
                self._inquiries.unknown(Digest(header.message.base), source=source, now=now)
        delta = self._read(header, payload)
        has_room = ledger.pool.add(header)
        self._keep(header, payload, delta, has_room=has_room)
        return ()

    def _read(self, signed: SignedDelta, payload: bytes | None) -> ModelDelta | None:
        """Return what the payload of a message decodes to; None when that is known already, or the payload is not here.

        It may have come along with the message, or earlier for another one that names it. Raises: ProtocolError when it
        is not what `signed` says.
        """
        payloads = self._ledger.payloads
        if signed.message in payloads:
            return None
        if payload is not None:
            return payloads.read(signed, payload)
        held = payloads.data(signed.message.payload)
        return None if held is None else payloads.read(signed, held, digest=signed.message.payload)

    def _keep(self, signed: SignedDelta, payload: bytes | None, delta: ModelDelta | None, *, has_room: bool) -> None:
        """Keep a payload if there was room for its announcement, or a manifest waits for it; drop what lost its room.

        It is kept decoded where it may soon be needed so.
        """
        ledger = self._ledger
        data = payload or ledger.payloads.data(signed.message.payload)
        if data is not None and delta is not None and (has_room or ledger.waits_for(signed)):
            is_known = signed.message.base in ledger.chain
            ledger.payloads.keep(signed, data, delta if is_known else None)
        ledger.drop_lost_payloads()

    def _accept_group_seal(
        self, seal: Signed[GroupSeal], payload: bytes | None, source: PeerId, now: Seconds
    ) -> Sequence[Refused]:
        ledger, body = self._ledger, seal.message
        ledger.eligibility.check(seal.peer)
        ledger.payloads.check_header(body)
        base, rank = ledger.chain.get(body.base), MAX_ADMITTED
        if base is not None:
            ledger.parts.pure.check_group_seal(base, seal, ledger.parts.rules)
            assert base.grouping is not None, "checked just now"
            rank = base.grouping.rank_of(seal.peer) or 0
        elif body.round <= ledger.chain.root.round:
            return ()  # of a round long past
        elif body.round > ledger.tip.round:
            self._inquiries.unknown(Digest(body.base), source=source, now=now)
        delta = self._read(seal, payload)
        has_room = ledger.groups.add(seal, rank=rank)
        self._keep(seal, payload, delta, has_room=has_room)
        if not self._incomplete:
            return ()
        waiting = [top for top in self._incomplete.values() if seal.digest in top.message.groups]
        if waiting:
            self._wanted[seal.digest] = seal
        return [refused for top in waiting for refused in self._accept_top(top, None, source, now)]

    def _accept_manifest(
        self, manifest: Signed[Manifest], _payload: bytes | None, source: PeerId, now: Seconds
    ) -> Sequence[Refused]:
        if not self._is_news(manifest):
            return ()
        parts = self._ledger.parts
        headers = parts.pure.open_headers(manifest.message, run=parts.run, opener=self._open)
        for header in headers:
            self._ledger.payloads.check_header(header.message)
        return self._enter(entry_of(manifest, headers), source, now)

    def _accept_top(
        self, top: Signed[TopManifest], _payload: bytes | None, source: PeerId, now: Seconds
    ) -> Sequence[Refused]:
        """Enter a top manifest once all the group seals that it names are here."""
        if not self._is_news(top):
            self._incomplete.pop(top.digest, None)
            return ()
        found = [self._ledger.groups.get(digest) or self._wanted.get(Digest(digest)) for digest in top.message.groups]
        seals = tuple(seal for seal in found if seal is not None)
        if len(seals) < len(found):
            self._incomplete[top.digest] = top
            if len(self._incomplete) > _MAX_INCOMPLETE:
                del self._incomplete[next(iter(self._incomplete))]
            self._inquiries.unknown(top.digest, source=source, now=now)
            return ()
        self._incomplete.pop(top.digest, None)
        named = {digest for other in self._incomplete.values() for digest in other.message.groups}
        self._wanted = {digest: seal for digest, seal in self._wanted.items() if digest in named}
        return self._enter(entry_of_groups(top, seals), source, now)

    def _is_news(self, manifest: SignedManifest) -> bool:
        ledger = self._ledger
        known = manifest.digest in ledger.chain or manifest.digest in self._orphans
        is_old = manifest.message.round <= ledger.chain.root.round
        return not known and not is_old and not self._follower.distrusts(manifest.digest)

    def _enter(self, entry: Entry, source: PeerId, now: Seconds) -> list[Refused]:
        """Link an entry to its parent, or have it wait for that."""
        if entry.parent in self._ledger.chain:
            return [*self._link(entry), *self.link_orphans()]
        self._orphans[entry.digest] = entry
        if len(self._orphans) > _MAX_ORPHANS:
            del self._orphans[next(iter(self._orphans))]
        self._inquiries.unknown(entry.parent, source=source, now=now)
        return []

    def _accept_ack(self, ack: Signed[Ack], _payload: bytes | None, source: PeerId, now: Seconds) -> Sequence[Refused]:
        chain, vote = self._ledger.chain, ack.message
        round_number, tip_round = vote.round, chain.tip.round
        if not chain.root.round <= round_number <= tip_round + _MAX_ROUNDS_AHEAD:
            return ()
        if not self._ledger.is_elector(ack.peer):
            self._ledger.eligibility.check(ack.peer)  # a member that was taken off the list may yet decide
        entry = chain.get(vote.manifest)
        if entry is not None and (entry.round != round_number or entry.parent != vote.previous):
            raise ProtocolError("bad_ack", f"round {round_number} for the manifest of round {entry.round}")
        self._ledger.votes.add(ack)
        if entry is None and round_number >= tip_round and not self._follower.distrusts(Digest(vote.manifest)):
            is_decided = self._is_next_decided(vote)
            self._inquiries.unknown(Digest(vote.manifest), source=source, now=now, is_decided=is_decided)
        return ()

    def _is_next_decided(self, vote: Ack) -> bool:
        """Return whether a majority has voted for a successor of the tip that is not known here."""
        tip = self._ledger.tip
        voters = self._ledger.votes.voters(vote.round, Digest(vote.manifest), Digest(vote.model))
        return vote.previous == tip.digest and 2 * len(voters & tip.electors) > len(tip.electors)

    def _link(self, entry: Entry) -> list[Refused]:
        """Add a manifest whose parent is known, if there is room for it."""
        ledger = self._ledger
        parent = ledger.chain.get(entry.parent)
        assert parent is not None, "callers look it up first"
        if self._room.is_too_far(entry):
            return []  # it comes again when we have got there
        sealer, what = entry.sealer or ledger.me, f"for round {entry.round}"
        try:
            settled = ledger.parts.pure.check_manifest(parent, entry, ledger.parts.rules)
            if self._room.has_too_many(entry):
                raise ProtocolError("too_many_rivals", what)
        except ProtocolError as error:
            return [Refused(reason=error.reason, peer=sealer, detail=error.detail)]
        if not self._room.make(entry, parent):
            return [Refused(reason="no_room", peer=ledger.me, detail=what)]  # it is nobody's mistake
        settled.settle(entry)
        ledger.chain.add(entry)
        return []
