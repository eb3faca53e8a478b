"""Whom to do anti-entropy with right now, because that peer probably has something that is missing here.

The surroundings exchange with random peers anyway; asking the right one at once spares a round the wait. Everything
here is an optimisation and rate-limited: at most one question a peer and pause, a few peers at a time.
"""

from peer.rounds.company import Company
from peer.rounds.effects import SyncWith
from peer.rounds.entry import electorate
from peer.rounds.ledger import Ledger
from peer.rounds.round_in_progress import RoundInProgress
from peer.types import Digest, PeerId, Seconds

_MAX_AT_ONCE = 3
_MAX_CLUES = 64


class Inquiries:
    """Clues to missing things, and when each peer was asked last."""

    def __init__(self, ledger: Ledger, company: Company, current: RoundInProgress) -> None:
        self._ledger = ledger
        self._company = company
        self._round = current
        self._pause_s = ledger.parts.rules.backup_gap_s
        self._clues: dict[Digest, tuple[PeerId, Seconds]] = {}
        self._asked_at: dict[PeerId, Seconds] = {}
        self.wake: Seconds | None = None

    def unknown(self, manifest: Digest, *, source: PeerId, now: Seconds) -> None:
        """Note that `source` passed on something about a manifest that is not known here."""
        if len(self._clues) < _MAX_CLUES:
            self._clues.setdefault(manifest, (source, now + self._pause_s))

    def due(self, *, final_round: int, now: Seconds) -> list[SyncWith]:
        """Return the questions to ask now, and set `wake` to when to look again."""
        reachable = self._company.reachable
        self._asked_at = {peer: time for peer, time in self._asked_at.items() if peer in reachable}
        wanted = {
            peer: max(time, self._asked_at.get(peer, -self._pause_s) + self._pause_s)
            for peer, time in self._wanted(final_round, now).items()
            if peer in reachable
        }
        asked = [peer for peer, time in wanted.items() if time <= now][:_MAX_AT_ONCE]
        self._asked_at.update(dict.fromkeys(asked, now))
        later = [now + self._pause_s if peer in asked else max(time, now + 0.1) for peer, time in wanted.items()]
        self.wake = min(later, default=None)
        return [SyncWith(peer=peer) for peer in asked]

    def _wanted(self, final_round: int, now: Seconds) -> dict[PeerId, Seconds]:
        """Return who should be asked, and from when on; the most urgent reason first."""
        wanted: dict[PeerId, Seconds] = dict.fromkeys(self._company.strangers(now), now)
        self._clues = {
            manifest: clue
            for manifest, clue in self._clues.items()
            if manifest not in self._ledger.chain and now < clue[1] + 4 * self._pause_s
        }
        for source, time in self._clues.values():
            wanted.setdefault(source, time)
        if self._ledger.tip.stop == "":
            overdue = self._round.opened_at + self._ledger.parts.rules.train_s + self._pause_s
            for peer in sorted(self._round.missing()):
                wanted.setdefault(peer, overdue)
        if final_round < self._ledger.tip.round:
            for peer in self._silent_electors():
                wanted.setdefault(peer, self._round.opened_at + 2 * self._pause_s)
        return wanted

    def _silent_electors(self) -> list[PeerId]:
        """Return who could make the tip final, and whose vote in its round is not known here."""
        tip = self._ledger.tip
        parent = self._ledger.chain.get(tip.parent)
        if parent is None:
            return []
        return sorted(electorate(parent, tip) - self._ledger.votes.of(tip.round).keys())
