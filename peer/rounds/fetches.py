"""Payloads and snapshots that are being pulled, and when one that failed may be asked for again."""

from peer.rounds.effects import FetchPayload
from peer.rounds.entry import Entry
from peer.rounds.ledger import Ledger
from peer.types import Digest, PeerId, Seconds
from peer.wire.envelope import SignedDelta

_RETRY_S = 1.0

_Claims = dict[int, tuple[PeerId, ...]]
"""How large a payload is, by the word of those who announce it, and who holds it: the most credible claim first."""


class Fetches:
    """Each blob is asked for once at a time; whoever carries a fetch out always reports how it ended."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._under_way: set[Digest] = set()
        self._retry_at: dict[Digest, Seconds] = {}
        self._missing: dict[Digest, _Claims] = {}
        self._num_failed: dict[Digest, int] = {}
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
        if blob in self._missing:
            self._num_failed[blob] = self._num_failed.get(blob, 0) + 1

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
            self._num_failed = {blob: count for blob, count in self._num_failed.items() if blob in self._missing}
        if not self._lacks:
            return []
        return [
            self._fetch(payload, claims) for payload, claims in self._missing.items() if self.begin(payload, now=now)
        ]

    def _fetch(self, payload: Digest, claims: _Claims) -> FetchPayload:
        """Ask for a payload by the first claim about its size, and after each failure by the next: one may be a lie."""
        payload_bytes, holders = list(claims.items())[self._num_failed.get(payload, 0) % len(claims)]
        return FetchPayload(payload=payload, payload_bytes=payload_bytes, holders=holders)

    def _wanted(self) -> dict[Digest, _Claims]:
        """A sealer's word goes before a member's, that before a stranger's."""
        ledger, members = self._ledger, self._ledger.tip.members
        announced: list[SignedDelta] = [*ledger.headers_without_payload(), *ledger.group_candidates.without_payload()]
        found: list[tuple[int, SignedDelta, tuple[PeerId, ...]]] = [
            (1 if delta.peer in members else 2, delta, (delta.peer,)) for delta in announced
        ]
        found += [
            (0, delta, (entry.sealer or delta.peer, delta.peer))
            for entry, delta in ledger.missing.before(self._worthy())
        ]
        wanted: dict[Digest, _Claims] = {Digest(delta.message.payload): {} for _, delta, _ in found}
        for _, delta, holders in sorted(found, key=lambda each: each[0]):
            if not ledger.payloads.is_refuted(delta.message):
                claims, size = wanted[Digest(delta.message.payload)], delta.message.payload_bytes
                claims[size] = tuple(dict.fromkeys((*claims.get(size, ()), *holders)))
        return {payload: claims for payload, claims in wanted.items() if claims}

    def _worthy(self) -> list[Entry]:
        """Return the manifests beside the line to the tip that would move it."""
        ledger, tip = self._ledger, self._ledger.tip
        return [
            entry
            for entry in ledger.chain.beside_tip()
            if not ledger.missing.can_apply(entry)
            and ((entry.score, entry.round) >= (tip.score, tip.round) or ledger.is_favoured(entry))
        ]
