"""Whom to do anti-entropy with right now, because that peer probably has something that is missing here.

The surroundings exchange with random peers anyway; asking the right one at once spares a round the wait. Everything
here is an optimisation and rate-limited: at most one question a peer and pause, a few peers at a time.
"""

from collections.abc import Callable, Set
from functools import partial

from peer.rounds.company import Company
from peer.rounds.effects import SyncWith
from peer.rounds.entry import electorate
from peer.rounds.ledger import Ledger
from peer.rounds.round_in_progress import RoundInProgress
from peer.rounds.rules import training_share
from peer.types import Digest, PeerId, Seconds

_MAX_STRANGERS = 12
_MAX_QUESTIONS = 8
"""Questions in one pause, to strangers and to others: each answer brings all that the other holds for the round."""
_MAX_CLUES = 64
_MAX_HEARD = 16
_MIN_PAUSE_S = 0.1

_Wanted = tuple[Callable[[], Set[PeerId]], Seconds, int]


class Inquiries:
    """Clues to missing things, and when each peer was asked last."""

    def __init__(self, ledger: Ledger, company: Company, current: RoundInProgress) -> None:
        self._ledger = ledger
        self._company = company
        self._round = current
        self._pause_s = ledger.parts.rules.backup_gap_s
        self._clues: dict[Digest, tuple[PeerId, Seconds]] = {}
        self._heard_at: dict[Digest, Seconds] = {}
        self._asked_at: dict[PeerId, Seconds] = {}
        self._seen: object = None
        self._look_at: Seconds = 0.0
        self.wake: Seconds | None = None

    def unknown(self, manifest: Digest, *, source: PeerId, now: Seconds, is_decided: bool = False) -> None:
        """Note that `source` passed on something about a manifest that is not known here.

        It may still be on its way, so it is asked for a little later. A decided one is asked for at once, as a
        majority has it.
        """
        if manifest not in self._heard_at:
            self._heard_at[manifest] = now
            if len(self._heard_at) > _MAX_HEARD:
                del self._heard_at[next(iter(self._heard_at))]
        clue = self._clues.get(manifest)
        if (clue is None and len(self._clues) < _MAX_CLUES) or (clue is not None and is_decided and now < clue[1]):
            self._clues[manifest] = source, now if is_decided else now + self._pause_s
            self._seen = None

    def heard_at(self, manifest: Digest, *, default: Seconds) -> Seconds:
        """Return when something about a manifest first came that was not known here; `default` if nothing did."""
        return self._heard_at.get(manifest, default)

    def due(self, *, final_round: int, elsewhere: frozenset[PeerId], now: Seconds) -> list[SyncWith]:
        """Return the questions to ask now, and set `wake` to when to look again.

        elsewhere: who holds finality up by being on another chain, as last heard. Unless the tip, the company, the
        clues or `elsewhere` change, nothing new can be missing until `wake`.
        """
        seen = (self._ledger.tip.digest, final_round, elsewhere, self._company.alive)
        if seen == self._seen and now < self._look_at and not self._company.has_strangers:
            return []
        self._seen = seen
        self._asked_at = {peer: time for peer, time in self._asked_at.items() if now < time + self._pause_s}
        asked: list[PeerId] = []
        look_at: list[Seconds] = []
        for missing, since, limit in self._wanted(final_round, elsewhere, now):
            if since > now:
                look_at.append(since)
                continue
            peers = missing()
            within_reach = [peer for peer in peers if peer in self._company.alive and peer != self._ledger.me]
            waiting = {peer for peer in within_reach if peer not in self._asked_at and peer not in asked}
            room = max(0, limit - len(self._asked_at) - len(asked))
            asked += sorted(waiting)[:room]
            look_at += [now + self._pause_s] if within_reach else []
        self._asked_at.update(dict.fromkeys(asked, now))
        self.wake = max(min(look_at), now + _MIN_PAUSE_S) if look_at else None
        self._look_at = now + self._pause_s if self.wake is None else min(self.wake, now + self._pause_s)
        return [SyncWith(peer=peer) for peer in asked]

    def _wanted(self, final_round: int, elsewhere: frozenset[PeerId], now: Seconds) -> list[_Wanted]:
        """Return who should be asked, from when on, and up to how many in one pause; the most urgent reason first."""
        wanted: list[_Wanted] = [(lambda: frozenset(self._company.strangers(now)), now, _MAX_STRANGERS)]
        if elsewhere:
            wanted.append((lambda: elsewhere, now, _MAX_QUESTIONS))
        self._clues = {
            manifest: clue
            for manifest, clue in self._clues.items()
            if manifest not in self._ledger.chain and now < clue[1] + 4 * self._pause_s
        }
        wanted += [(partial(frozenset, {source}), since, _MAX_QUESTIONS) for source, since in self._clues.values()]
        if self._ledger.tip.stop == "":
            train_s = self._ledger.parts.rules.train_s * training_share(self._ledger.tip.round + 1)
            overdue = self._round.opened_at + train_s + self._pause_s
            wanted.append((self._round.to_ask, overdue, _MAX_QUESTIONS))
        if final_round < self._ledger.tip.round:
            wanted.append((self._silent_electors, self._round.opened_at + 2 * self._pause_s, _MAX_QUESTIONS))
        return wanted

    def _silent_electors(self) -> Set[PeerId]:
        """Return who could make the tip final, and whose vote in its round is not known here."""
        tip = self._ledger.tip
        parent = self._ledger.chain.get(tip.parent)
        if parent is None:
            return frozenset()
        return electorate(parent, tip) - self._ledger.votes.of(tip.round).keys()
