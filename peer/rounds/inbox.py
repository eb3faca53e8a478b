"""What comes in from others: checked, and entered into the ledger."""

from peer.errors import ProtocolError
from peer.rounds.effects import Refused
from peer.rounds.entry import Entry, entry_of
from peer.rounds.following import Follower
from peer.rounds.inquiries import Inquiries
from peer.rounds.ledger import Ledger
from peer.types import Digest, PeerId, Seconds
from peer.wire.envelope import AnySigned, Signed
from peer.wire.messages import Ack, DeltaHeader, Manifest

_MAX_ORPHANS = 64
_MAX_RIVALS = 16
_MAX_VERIFIED = 512
_MAX_ROUNDS_AHEAD = 32
"""Votes further ahead than this are of no use before the manifests between have come, and they will come again."""


class Inbox:
    """Refuses what is wrong, keeps what waits for its parent, links the rest into the chain."""

    def __init__(self, ledger: Ledger, follower: Follower, inquiries: Inquiries) -> None:
        self._ledger = ledger
        self._follower = follower
        self._inquiries = inquiries
        self._orphans: dict[Digest, Entry] = {}
        self._verified: dict[bytes, AnySigned] = {}

    def take(self, data: bytes, payload: bytes | None, source: PeerId, now: Seconds) -> list[Refused]:
        """Take in one envelope that `source` handed over."""
        author = source
        try:
            signed = self._open(data, run=self._ledger.parts.run)
            author = signed.peer
            return self._accept(signed, payload, source, now)
        except ProtocolError as error:
            return [Refused(reason=error.reason, peer=author, detail=error.detail)]

    def link_orphans(self) -> list[Refused]:
        """Link what waited for entries that are known by now; drop what is too old to matter."""
        refused: list[Refused] = []
        while ready := [orphan for orphan in self._orphans.values() if orphan.parent in self._ledger.chain]:
            for orphan in ready:
                del self._orphans[orphan.digest]
                refused += self._link(orphan)
        root_round = self._ledger.chain.root.round
        self._orphans = {digest: entry for digest, entry in self._orphans.items() if entry.round > root_round}
        return refused

    def _open(self, data: bytes, *, run: bytes) -> AnySigned:
        """Open an envelope, or recall it: the headers of a manifest came by gossip before."""
        signed = self._verified.get(data)
        if signed is None:
            signed = self._verified[data] = self._ledger.parts.pure.open(data, run=run)
            if len(self._verified) > _MAX_VERIFIED:
                del self._verified[next(iter(self._verified))]
        return signed

    def _accept(self, signed: AnySigned, payload: bytes | None, source: PeerId, now: Seconds) -> list[Refused]:
        peer, digest, data = signed.peer, signed.digest, signed.data
        match signed.message:  # rebuilt, because a union of generics is not narrowed by its field
            case DeltaHeader() as header:
                self._accept_header(Signed(peer=peer, message=header, digest=digest, data=data), payload, source, now)
            case Manifest() as manifest:
                return self._accept_manifest(Signed(peer=peer, message=manifest, digest=digest, data=data), source, now)
            case Ack() as ack:
                self._accept_ack(Signed(peer=peer, message=ack, digest=digest, data=data), source, now)
            case _:
                raise ProtocolError("malformed", "a peer card is not gossip")
        return []

    def _accept_header(self, header: Signed[DeltaHeader], payload: bytes | None, source: PeerId, now: Seconds) -> None:
        ledger = self._ledger
        if header.peer == ledger.me:
            return  # our own words come back by anti-entropy
        if not ledger.eligibility.takes(header.peer):
            raise ProtocolError("not_allowed", "a delta of a peer that is not on the allow-list")
        ledger.payloads.check_header(header.message)
        base = ledger.chain.get(header.message.base)
        if base is not None and header.message.round != base.round + 1:
            raise ProtocolError("bad_header", f"round {header.message.round} on a base of round {base.round}")
        if base is None:
            if header.message.round <= ledger.chain.root.round:
                return  # of a round long past
            if header.message.round > ledger.tip.round:
                self._inquiries.unknown(Digest(header.message.base), source=source, now=now)
        if payload is not None and header.message not in ledger.payloads:
            ledger.payloads.add(header, payload)
        ledger.pool.add(header)

    def _accept_manifest(self, manifest: Signed[Manifest], source: PeerId, now: Seconds) -> list[Refused]:
        known = manifest.digest in self._ledger.chain or manifest.digest in self._orphans
        if known or self._follower.distrusts(manifest.digest):
            return []
        if manifest.message.round <= self._ledger.chain.root.round:
            return []
        parts = self._ledger.parts
        headers = parts.pure.open_headers(manifest.message, run=parts.run, opener=self._open)
        for header in headers:
            self._ledger.payloads.check_header(header.message)
        entry = entry_of(manifest, headers)
        if entry.parent in self._ledger.chain:
            return [*self._link(entry), *self.link_orphans()]
        self._orphans[entry.digest] = entry
        if len(self._orphans) > _MAX_ORPHANS:
            del self._orphans[next(iter(self._orphans))]
        self._inquiries.unknown(entry.parent, source=source, now=now)
        return []

    def _accept_ack(self, ack: Signed[Ack], source: PeerId, now: Seconds) -> None:
        ledger, vote = self._ledger, ack.message
        if not ledger.chain.root.round <= vote.round <= ledger.tip.round + _MAX_ROUNDS_AHEAD:
            return
        entry = ledger.chain.get(vote.manifest)
        if entry is not None and (entry.round, entry.parent) != (vote.round, vote.previous):
            raise ProtocolError("bad_ack", f"round {vote.round} for the manifest of round {entry.round}")
        ledger.votes.add(ack)
        if entry is None and vote.round >= ledger.tip.round and not self._follower.distrusts(Digest(vote.manifest)):
            self._inquiries.unknown(Digest(vote.manifest), source=source, now=now)

    def _link(self, entry: Entry) -> list[Refused]:
        """Add a manifest whose parent is known."""
        chain = self._ledger.chain
        parent = chain.get(entry.parent)
        assert parent is not None, "callers look it up first"
        try:
            self._ledger.parts.pure.check_manifest(parent, entry, self._ledger.parts.rules)
            if len(chain.children(parent.digest)) >= _MAX_RIVALS:
                raise ProtocolError("too_many_rivals", f"for round {entry.round}")
        except ProtocolError as error:
            return [Refused(reason=error.reason, peer=entry.sealer or self._ledger.me, detail=error.detail)]
        chain.add(entry)
        return []
