"""Taking over a whole state when the chain to it cannot be replayed, and offering one's own."""

from peer.errors import ProtocolError
from peer.rounds import anti_entropy
from peer.rounds.backers import Backers
from peer.rounds.company import Company
from peer.rounds.effects import FetchSnapshot, Refused
from peer.rounds.entry import Entry
from peer.rounds.fetches import Fetches
from peer.rounds.fork_choice import is_near, outranks
from peer.rounds.ledger import Ledger
from peer.rounds.merging import BY_MAJORITY, is_outnumbered
from peer.rounds.round_in_progress import RoundInProgress
from peer.rounds.snapshot import decode_snapshot, encode_snapshot, max_snapshot_bytes
from peer.rounds.stinginess import FRESH_ROUNDS, is_outnumbered_by_rival
from peer.types import Digest, PeerId, Seconds
from peer.wire.hashing import digest_of
from peer.wire.sync import SnapshotOffer, SyncResponse

_KEPT = 3
"""A donor keeps what it offered while the tip moves on, so that a slow pull can end."""


class Snapshots:
    """The snapshots offered lately, by hash, and the judgement on those that others offer."""

    def __init__(self, ledger: Ledger, company: Company, fetches: Fetches, current: RoundInProgress) -> None:
        self._ledger = ledger
        self._round = current
        self._fetches = fetches
        self._backers = Backers(ledger, company) if ledger.parts.rules.merge == BY_MAJORITY else None
        self._offers: dict[Digest, SnapshotOffer] = {}
        self._data: dict[Digest, bytes] = {}
        self._names: dict[Digest, Digest] = {}

    def offer(self) -> SnapshotOffer | None:
        """Return the offer of the state at the tip, where votes decide of the newest that most have voted for; None at
        genesis, which everybody has. Cost: O(P), once an entry."""
        entry = self._ledger.tip if self._backers is None else self._backers.newest_backed()
        if entry.manifest is None:
            return None
        if entry.digest not in self._offers:
            data = encode_snapshot(entry)
            blob = digest_of(data)
            self._offers[entry.digest] = SnapshotOffer(anti_entropy.tip_of(entry), blob, len(data))
            self._keep(blob, data)
            self._offers = {digest: offer for digest, offer in self._offers.items() if Digest(offer.blob) in self._data}
        return self._offers[entry.digest]

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
        if known is not None and not repairing and self._is_set_aside(known, now):
            return []
        if self._backers is not None:
            self._backers.note(response)
        outnumbers = self._outnumbers(Digest(offer.tip.digest), offer.tip.round)
        may_win = near or offer.tip.score > tip.score if outnumbers is None else outnumbers
        is_held = known is not None and known.state is not None
        is_wanted = outnumbers is not False if repairing else may_win and not is_held
        if not is_wanted:
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
        known = self._ledger.chain.get(entry.digest)
        if known is not None and not repairing and self._is_set_aside(known, now):
            self._fetches.failed(blob, now=now)
            return None
        outnumbers = self._outnumbers(entry.digest, entry.round)
        wins = repairing or outranks(entry, self._ledger.tip) if outnumbers is None else outnumbers
        if wins:
            return entry
        self._fetches.failed(blob, now=now)  # its holder will offer it again; not at once
        return None

    def _is_set_aside(self, entry: Entry, now: Seconds) -> bool:
        """Return whether an entry that is known is on a branch that is not to be followed for its stinginess; its state
        is no way around that."""
        ledger = self._ledger
        ancestor, ours, theirs = ledger.chain.fork(ledger.tip, entry)
        if not theirs or len(ours) > FRESH_ROUNDS:
            return False
        if is_outnumbered_by_rival(ancestor, theirs[0], ledger):
            return True
        return not ours and any(self._round.left_aside_until(child, now) is not None for child in theirs)

    def _outnumbers(self, offered: Digest, round_number: int) -> bool | None:
        """Return whether those behind an offered state outnumber those behind our chain, or the other way round; None
        when neither do, or it does not matter."""
        if self._backers is None:
            return None
        theirs, ours = self._backers.of_offer(offered, round_number), self._backers.of_line()
        if is_outnumbered(theirs, ours):
            return False
        return True if is_outnumbered(ours, theirs) else None
