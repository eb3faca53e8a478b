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
from peer.rounds.merging import BY_MAJORITY, verdict
from peer.rounds.round_in_progress import RoundInProgress
from peer.rounds.snapshot import decode_snapshot, encode_snapshot, max_snapshot_bytes
from peer.rounds.stinginess import FRESH_ROUNDS, is_outnumbered_by_rival
from peer.types import Digest, PeerId, Seconds
from peer.wire.hashing import digest_of
from peer.wire.sync import SnapshotOffer, SyncResponse, Tip

_KEPT = 3
"""A donor keeps what it offered while the tip moves on, so that a slow pull can end."""

_REMADE_A_ROUND = 8
"""Snapshots that were dropped and are asked for again. One who asked for all states of the window in turn, at the rate
that a peer may, had half a core make snapshots of a million parameters."""


class Snapshots:
    """The snapshots offered lately, by hash, and the judgement on those that others offer."""

    def __init__(self, ledger: Ledger, company: Company, fetches: Fetches, current: RoundInProgress) -> None:
        self._ledger = ledger
        self._company = company
        self._round = current
        self._fetches = fetches
        self._backers = Backers(ledger, company) if ledger.parts.rules.merge == BY_MAJORITY else None
        self._offers: dict[Digest, SnapshotOffer] = {}
        self._data: dict[Digest, bytes] = {}
        self._names: dict[Digest, Digest] = {}
        self._remade_at: Digest | None = None
        self._remade = 0

    def offer(self, to: Tip) -> SnapshotOffer | None:
        """Return the offer of the state at the tip, None at genesis, which everybody has.

        Where only votes can win the asking peer over, it is of the newest state that many voted for. Cost: O(P), once
        an entry.
        """
        entry = tip = self._ledger.tip
        if self._backers is not None and to.score > tip.score and not self._is_near(to):
            entry = self._backers.newest_backed()
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
        state would be named is remembered; asking for names that nobody knows costs nothing more. What has been made
        and dropped is made again a few times a round; None above that, and whoever asks will ask again.
        """
        if blob in self._data:
            return self._data[blob]
        line = [entry for entry in self._ledger.line() if entry.manifest is not None and entry.state is not None]
        self._names = {entry.digest: name for entry in line if (name := self._names.get(entry.digest))}
        for entry in line[::-1]:
            name = self._names.get(entry.digest)
            if name is None or (name == blob and self._may_remake()):
                data = encode_snapshot(entry)
                self._names[entry.digest] = digest_of(data)
                if self._names[entry.digest] == blob:
                    self._keep(blob, data)
                    return data
        return None

    def _may_remake(self) -> bool:
        """Return whether to make another snapshot again at this tip; True is counted."""
        tip = self._ledger.tip.digest
        if tip != self._remade_at:
            self._remade_at, self._remade = tip, 0
        self._remade += 1
        return self._remade <= _REMADE_A_ROUND

    def _keep(self, blob: Digest, data: bytes) -> None:
        """Hold on to what a joiner is pulling, chunk after chunk."""
        self._data[blob] = data
        while len(self._data) > _KEPT:
            del self._data[next(iter(self._data))]

    def consider(
        self, response: SyncResponse, source: PeerId, *, repairing: bool, now: Seconds
    ) -> list[FetchSnapshot | Refused]:
        """Decide whether to pull the snapshot that `source` offers.

        It may be worth it also for one that is not ahead: where the scores are close they do not decide alone, and only
        the whole state tells.
        """
        offer, tip = response.snapshot, self._ledger.tip
        if offer is None:
            return []
        if offer.blob_bytes > max_snapshot_bytes(self._ledger.parts.schema):
            return [Refused(reason="oversize", peer=source, detail=f"a snapshot of {offer.blob_bytes} bytes")]
        near = self._is_near(offer.tip)
        known = self._ledger.chain.get(offer.tip.digest)
        if known is not None and not repairing and self._is_set_aside(known, now):
            return []
        if self._backers is not None:
            self._backers.note(response)
        wins = self._wins_by_votes(offer.tip)
        may_win = near or offer.tip.score > tip.score if wins is None else wins
        is_held = known is not None and known.state is not None
        is_wanted = wins is not False if repairing else may_win and not is_held
        if not is_wanted or not self._fetches.begin(Digest(offer.blob), now=now):
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
        wins = self._wins_by_votes(anti_entropy.tip_of(entry), entry)
        if wins is None:
            wins = repairing or outranks(entry, self._ledger.tip)
        if wins:
            return entry
        self._fetches.failed(blob, now=now)  # its holder will offer it again; not at once
        return None

    def _is_near(self, other: Tip) -> bool:
        """Return whether more than the scores may decide between the chain of another tip and ours."""
        tip = self._ledger.tip
        zone = self._ledger.parts.rules.history * len(tip.roster)
        return is_near((other.round, other.score), (tip.round, tip.score), zone=zone)

    def _is_set_aside(self, entry: Entry, now: Seconds) -> bool:
        """Return whether a known entry is on a branch too stingy to be followed; its state is not followed either."""
        ledger = self._ledger
        ancestor, ours, theirs = ledger.chain.fork(ledger.tip, entry)
        if not theirs or len(ours) > FRESH_ROUNDS:
            return False
        if is_outnumbered_by_rival(ancestor, theirs, ledger, self._company.told_at):
            return True
        return not ours and any(self._round.left_aside_until(child, now) is not None for child in theirs)

    def _wins_by_votes(self, offered: Tip, state: Entry | None = None) -> bool | None:
        """Return whether those who stand behind an offered state make it replace ours; None where the scores decide.

        state: the offered one, once it is here.
        """
        return None if self._backers is None else verdict(*self._backers.sides(offered, state))
