"""Taking over a whole state when the chain to it cannot be replayed, and offering one's own."""

from peer.errors import ProtocolError
from peer.rounds import anti_entropy
from peer.rounds.effects import FetchSnapshot, Refused
from peer.rounds.entry import Entry
from peer.rounds.fetches import Fetches
from peer.rounds.fork_choice import is_near, outranks
from peer.rounds.ledger import Ledger
from peer.rounds.snapshot import decode_snapshot, encode_snapshot, max_snapshot_bytes
from peer.types import Digest, PeerId, Seconds
from peer.wire.hashing import digest_of
from peer.wire.sync import SnapshotOffer, SyncResponse

_KEPT = 3
"""A donor keeps what it offered while the tip moves on, so that a slow pull can end."""


class Snapshots:
    """The snapshots offered lately, by hash, and the judgement on those that others offer."""

    def __init__(self, ledger: Ledger, fetches: Fetches) -> None:
        self._ledger = ledger
        self._fetches = fetches
        self._offers: dict[Digest, SnapshotOffer] = {}
        self._data: dict[Digest, bytes] = {}
        self._names: dict[Digest, Digest] = {}

    def offer(self) -> SnapshotOffer | None:
        """Return the offer of the state at the tip; None at genesis, which everybody has. Cost: O(P), once a tip."""
        tip = self._ledger.tip
        if tip.manifest is None:
            return None
        if tip.digest not in self._offers:
            data = encode_snapshot(tip)
            blob = digest_of(data)
            self._offers[tip.digest] = SnapshotOffer(anti_entropy.tip_of(tip), blob, len(data))
            self._keep(blob, data)
            self._offers = {digest: offer for digest, offer in self._offers.items() if Digest(offer.blob) in self._data}
        return self._offers[tip.digest]

    def data(self, blob: Digest) -> bytes | None:
        """Return a snapshot by its hash, also one that another peer has offered: equal states have equal bytes.

        So a joiner whose donor dies goes on at any peer that still has that state. Cost: O(P) once an entry, as what a
        state would be named is remembered; asking for names that nobody knows costs nothing more.
        """
        if blob in self._data:
            return self._data[blob]
        line = [entry for entry in self._ledger.line() if entry.manifest is not None and entry.state is not None]
        self._names = {entry.digest: name for entry in line if (name := self._names.get(entry.digest))}
        for entry in line[::-1]:
            name = self._names.get(entry.digest)
            if name in (None, blob):
                data = encode_snapshot(entry)
                self._names[entry.digest] = digest_of(data)
                if self._names[entry.digest] == blob:
                    self._keep(blob, data)
                    return data
        return None

    def _keep(self, blob: Digest, data: bytes) -> None:
        """Hold on to what a joiner is pulling, chunk after chunk."""
        self._data[blob] = data
        while len(self._data) > _KEPT:
            del self._data[next(iter(self._data))]

    def consider(
        self, response: SyncResponse, source: PeerId, *, repairing: bool, now: Seconds
    ) -> list[FetchSnapshot | Refused]:
        """Decide whether to pull the snapshot that `source` offers: it may be worth it while the scores are so close
        that more than the scores counts, which takes the whole state to tell."""
        offer, tip = response.snapshot, self._ledger.tip
        if offer is None:
            return []
        zone = self._ledger.parts.rules.history * len(tip.roster)
        near = is_near((offer.tip.round, offer.tip.score), (tip.round, tip.score), zone=zone)
        known = self._ledger.chain.get(offer.tip.digest)
        if not repairing and (
            not (near or offer.tip.score > tip.score) or (known is not None and known.state is not None)
        ):
            return []
        if offer.blob_bytes > max_snapshot_bytes(self._ledger.parts.schema):
            return [Refused(reason="oversize", peer=source, detail=f"a snapshot of {offer.blob_bytes} bytes")]
        if not self._fetches.begin(Digest(offer.blob), now=now):
            return []
        return [FetchSnapshot(offer=offer, holder=source)]

    def judge(self, blob: Digest, data: bytes, *, repairing: bool, now: Seconds) -> Entry | None:
        """Return the state in a snapshot if it should replace ours. blob: what was asked for, whatever has come.

        Raises: ProtocolError when it is invalid.
        """
        self._fetches.done(blob)
        try:
            parts = self._ledger.parts
            entry = decode_snapshot(data, run=parts.run, schema=parts.schema, pure=parts.pure)
        except ProtocolError:
            self._fetches.failed(blob, now=now)
            raise
        if repairing or outranks(entry, self._ledger.tip):
            return entry
        self._fetches.failed(blob, now=now)  # its holder will offer it again; not at once
        return None
