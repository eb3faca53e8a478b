"""Payloads and snapshots that are being pulled, and when one that failed may be asked for again."""

from peer.rounds.effects import FetchPayload
from peer.rounds.ledger import Ledger
from peer.types import Digest, PeerId, Seconds
from peer.wire.envelope import SignedDelta

_RETRY_S = 1.0

_Wanted = tuple[SignedDelta, tuple[PeerId, ...]]
"""What announces a payload, and who holds it."""


class Fetches:
    """Each blob is asked for once at a time; whoever carries a fetch out always reports how it ended."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._under_way: set[Digest] = set()
        self._retry_at: dict[Digest, Seconds] = {}
        self._missing: dict[Digest, _Wanted] = {}
        self._work_seen: object = None
        self._votes_seen: int | None = None
        self._lacks = False

    def begin(self, blob: Digest, *, now: Seconds) -> bool:
        """Return whether to ask for `blob` now; it counts as under way then."""
        if blob in self._under_way or self._retry_at.get(blob, now) > now:
            return False
        self._retry_at.pop(blob, None)
        self._under_way.add(blob)
        return True

    def done(self, blob: Digest) -> None:
        self._under_way.discard(blob)

    def failed(self, blob: Digest, *, now: Seconds) -> None:
        self._under_way.discard(blob)
        self._retry_at[blob] = now + _RETRY_S

    def next_retry(self) -> Seconds | None:
        return min(self._retry_at.values(), default=None)

    def payloads(self, now: Seconds) -> list[FetchPayload]:
        """Ask for payloads of announced deltas, and of manifests that would move the tip."""
        if self._retry_at:
            self._retry_at = {blob: time for blob, time in self._retry_at.items() if time > now}
        ledger = self._ledger
        if ledger.work_version != self._work_seen:
            self._work_seen, self._votes_seen = ledger.work_version, None
            self._lacks = ledger.lacks_payloads()
        if self._lacks and ledger.votes.version != self._votes_seen:  # they tell which branches matter
            self._votes_seen, self._missing = ledger.votes.version, self._wanted()
        if not self._lacks:
            return []
        return [
            FetchPayload(payload=payload, payload_bytes=delta.message.payload_bytes, holders=holders)
            for payload, (delta, holders) in self._missing.items()
            if self.begin(payload, now=now)
        ]

    def _wanted(self) -> dict[Digest, _Wanted]:
        ledger, tip = self._ledger, self._ledger.tip
        wanted: dict[Digest, _Wanted] = {
            Digest(header.message.payload): (header, (header.peer,)) for header in ledger.headers_without_payload()
        }
        wanted |= {
            Digest(seal.message.payload): (seal, (seal.peer,)) for seal in ledger.group_candidates.without_payload()
        }
        worthy = [
            entry
            for entry in ledger.chain.beside_tip()
            if not ledger.can_apply(entry)
            and ((entry.score, entry.round) >= (tip.score, tip.round) or ledger.is_favoured(entry))
        ]
        for holder, header in ledger.missing_payloads(worthy):
            wanted[Digest(header.message.payload)] = (header, (holder.sealer or header.peer, header.peer))
        return wanted
