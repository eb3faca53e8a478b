"""The round in progress: since when it is open, what it waits for, whose turn it is to seal it."""

from collections.abc import Iterator, Set

from peer.rounds.arrivals import Arrivals
from peer.rounds.company import Company
from peer.rounds.entry import Entry, admitted_by, electorate
from peer.rounds.group_round import GroupRound
from peer.rounds.lateness import Lateness
from peer.rounds.ledger import Ledger
from peer.rounds.memo import Memo
from peer.rounds.newcomers import is_amid_its_swarm
from peer.rounds.quorum import STRICT, is_quorum
from peer.rounds.roster import active_peers
from peer.rounds.sealing import SealingView, deadline, last_turn, seal_time
from peer.rounds.stinginess import admitted_from, num_admitted
from peer.types import Digest, PeerId, Seconds
from peer.wire.limits import MAX_ADMITTED


class RoundInProgress:
    """What this peer sees of the round after its tip."""

    def __init__(self, ledger: Ledger, company: Company, *, now: Seconds) -> None:
        self._ledger = ledger
        self._company = company
        self._rules = ledger.parts.rules
        self._pure = ledger.parts.pure
        self.opened_at = now
        self._arrivals = Arrivals()
        self._lateness = Lateness()
        self._successors_since: dict[Digest, Seconds] = {}
        self._due_memo = Memo[Seconds | None]()
        self._expected_memo = Memo[frozenset[PeerId]]()
        self._drawn_memo = Memo[frozenset[PeerId]]()
        self._turns_memo = Memo[list[PeerId]]()
        self._place_memo = Memo[tuple[int, int, bool]]()
        self.groups = GroupRound(ledger, company)

    def open(self, now: Seconds) -> None:
        """Begin the round after a new tip."""
        self.opened_at = now
        self._arrivals = Arrivals()
        self._successors_since.clear()
        self._due_memo.forget()
        tip = self._ledger.tip
        if tip.grouping is not None:
            self.groups.open(now)  # whoever has missed a seal is not waited for; there is no more to note
            return
        self._lateness.note(tip.admitted, members=tip.members, reachable=self._company.reachable)
        self._expected_memo.forget()

    def sealing_s(self, now: Seconds) -> Seconds:
        """Return how long after the end of its training time the round has lasted."""
        return max(0.0, now - self.opened_at - self._rules.train_s)

    def due(self, now: Seconds) -> Seconds | None:
        """Return when this peer should seal the round, None while it has nothing to seal."""
        ledger = self._ledger
        seen: object = ledger.work_version
        if ledger.grouping is not None:
            seen = self.groups.top_standing(), ledger.chain.version
        due = self._due_memo.get((seen, self._company.alive), lambda: self._due(now))
        patience_end = self._company.patience_end()
        if due is None or patience_end is None or is_amid_its_swarm(self._ledger, self._company):
            return due
        return max(due, patience_end)

    def _due(self, now: Seconds) -> Seconds | None:
        due = self.groups.top_due(now) if self._ledger.grouping is not None else self._flat_due(now)
        return None if due is None else max(due, self._patience_for_successors(now))

    def _flat_due(self, now: Seconds) -> Seconds | None:
        due = seal_time(self._view(now), self._rules)
        return due if due is not None and self._may_seal() else None

    def _deadlines(self) -> tuple[Seconds, Seconds]:
        """Return when the round need not wait for everybody any more, and when the last backup has had its turn."""
        tip, rules = self._ledger.tip, self._rules
        flat = deadline(self.opened_at, self._arrivals.half_since, rules)
        late = flat if tip.grouping is None else self.groups.deadline()
        return late, last_turn(late, members=len(tip.roster), rules=rules)

    def left_aside_until(self, entry: Entry, now: Seconds) -> Seconds | None:
        """Return until when `entry` is not followed for admitting too few; None when it may be followed.

        entry: a successor of the tip, or of what follows the tip.
        It admits too few when there are more that it should have admitted, and has left out (`_should_admit`). It may
        be followed at once when it counts half of the known peers, or what builds on it makes up for that, and when
        most electors have voted for it.
        """
        ledger = self._ledger
        parent = ledger.chain.get(entry.parent)
        assert parent is not None, "only what is linked can be followed"
        known = parent.settle(self._rules).known
        if 2 * num_admitted(parent, entry, ledger) >= len(known):
            return None
        admitted = admitted_from(entry, ledger) & known
        for until, peers in self._should_admit(parent, now):
            if len((peers & known) - admitted) > len(admitted):
                return None if ledger.is_decided(entry, electorate(parent, entry)) else until
        return None

    def _should_admit(self, parent: Entry, now: Seconds) -> Iterator[tuple[Seconds, Set[PeerId]]]:
        """Yield whose deltas a manifest on `parent` should admit, and until when that is asked of it.

        Until the last backup has had its turn: those whose deltas are here. Until the deadline: those whom this peer
        would wait for.
        """
        if parent is not self._ledger.tip:  # its round is not open here yet
            yield now + self._rules.grace_s, self._worth_waiting_for(parent)
            return
        late, last = self._deadlines()
        if now < last:
            yield last, self._at_hand()
        if now < late:
            yield late, self._worth_waiting_for(parent)

    def _at_hand(self) -> Set[PeerId]:
        """Return whose deltas a manifest on the tip could admit now."""
        ledger = self._ledger
        if ledger.grouping is None:
            return ledger.candidate_peers()
        return admitted_by(ledger.group_candidates.best().values())

    def _worth_waiting_for(self, parent: Entry) -> Set[PeerId]:
        """Return whose delta the round after `parent`, the tip or what follows it, should wait for as seen here."""
        standing = parent.settle(self._rules)
        if standing.grouping is not None:
            return standing.in_time & self._company.alive & standing.grouping.contributors
        if parent is self._ledger.tip:
            return self._expected()
        return (standing.in_time & self._company.alive) - self._lateness.late_peers()

    def is_paused(self) -> bool:
        """Return whether sealing must wait for more members to be reachable (mode `strict`)."""
        strict = self._rules.partition == STRICT
        return strict and not is_quorum(self._ledger.tip.members, self._company.alive)

    def missing(self) -> frozenset[PeerId]:
        """Return the peers whose deltas the round, or the own group, still waits for."""
        if self._ledger.grouping is not None:
            return self.groups.missing()
        return self._expected() - self._ledger.candidate_peers()

    def next_sealer(self) -> PeerId:
        """Return whose turn it is to seal, the unreachable left out."""
        return next((peer for peer in self._turns() if peer in self._company.alive), self._ledger.me)

    def to_ask(self) -> frozenset[PeerId]:
        """Return who should be asked for what the round waits for."""
        return self.missing() if self._ledger.grouping is None else self.groups.to_ask()

    def contributes(self) -> bool:
        """Return whether this peer announces a delta for the round."""
        if self._ledger.grouping is not None:
            return self.groups.contributes()
        drawn = self.drawn()
        return drawn is None or self._ledger.me in drawn

    def drawn(self) -> frozenset[PeerId] | None:
        """Return who announces a delta for this round; None while a manifest has room for everybody (docs/adr/0029).

        The same order by hash decides whom the sealer admits when more have announced, so whoever is not drawn here
        could hardly get in. Peers that see each other draw alike; one that sees others only announces in vain.
        """
        alive = self._company.alive
        if len(alive) <= MAX_ADMITTED or self._rules.partition == STRICT:
            return None  # strict: sealing takes deltas of a majority of the roster, whoever that is
        tip = self._ledger.tip.digest
        return self._drawn_memo.get((tip, alive), lambda: frozenset(self._pure.seal_order(tip, alive)[:MAX_ADMITTED]))

    def _view(self, now: Seconds) -> SealingView:
        expected = self._expected()
        candidates = self._ledger.candidate_peers()
        self._arrivals.note(have=len(candidates), expected=len(expected), is_complete=expected <= candidates, now=now)
        before, reachable_before, outsider = self._place()
        return SealingView(
            opened_at=self.opened_at,
            complete_since=self._arrivals.complete_since,
            half_since=self._arrivals.half_since,
            candidates=len(candidates),
            expected=len(expected),
            before=before,
            reachable_before=reachable_before,
            outsider=outsider,
        )

    def _place(self) -> tuple[int, int, bool]:
        """Return how many seal before this peer, how many of them can be reached, and whether it is an outsider."""
        return self._place_memo.get((self._turns_key(), self._company.reachable), self._look_for_place)

    def _look_for_place(self) -> tuple[int, int, bool]:
        me, reachable, turns = self._ledger.me, self._company.reachable, self._turns()
        before = turns[: turns.index(me)] if me in turns else turns
        outsider = me not in turns and not reachable.isdisjoint(turns)
        return len(before), sum(peer in reachable for peer in before), outsider

    def _patience_for_successors(self, now: Seconds) -> Seconds:
        """Return until when not to seal a rival, because payloads of a known successor are on their way.

        The wait is bounded however many successors come one after the other; none is for one that is left aside.
        """
        children = self._ledger.chain.children(self._ledger.tip.digest)
        successors = [entry for entry in children if self.left_aside_until(entry, now) is None]
        since = [self._successors_since.setdefault(entry.digest, now) for entry in successors]
        if not since:
            return 0.0
        first, last = min(self._successors_since.values()), max(since)
        return min(first + 2 * self._rules.grace_s, last + self._rules.grace_s)

    def _expected(self) -> frozenset[PeerId]:
        """Peers worth waiting for: reachable members that took part last time; after genesis, all reachable.

        So are peers whose delta for the last round came too late: they train along, and one slower than the rest
        would otherwise never be waited for, and never get in. Who is late again and again is not waited for: it
        announces earlier by itself, and what misses its seal comes as late work. Where contributors are drawn, those.

        Where that leaves out most of all, all are waited for: it is this peer, or its links, that is out of step, and
        it would go on alone for not waiting for anybody.
        """
        tip = self._ledger.tip
        drawn = self.drawn()
        if drawn is not None:
            return drawn
        if not tip.roster:
            return self._company.alive
        late = self._ledger.pool.peers_on(tip.parent)
        key = (tip.digest, late, self._company.reachable)
        return self._expected_memo.get(key, lambda: self._members_worth_waiting_for(late))

    def _members_worth_waiting_for(self, late: frozenset[PeerId]) -> frozenset[PeerId]:
        tip, reachable, me = self._ledger.tip, self._company.reachable, self._ledger.me
        often_late = self._lateness.late_peers()
        in_time = ((active_peers(tip.roster) | late) - often_late) & reachable | {me}
        all_known = (tip.members | late | often_late) & reachable | {me}
        return in_time if 2 * len(in_time) >= len(all_known) else all_known

    def _may_seal(self) -> bool:
        candidates = self._ledger.candidate_peers()
        return self._rules.partition != STRICT or is_quorum(self._ledger.tip.members, candidates)

    def _turns(self) -> list[PeerId]:
        key = self._turns_key()
        return self._turns_memo.get(key, lambda: self._pure.seal_order(*key))

    def _turns_key(self) -> tuple[Digest, frozenset[PeerId]]:
        tip = self._ledger.tip
        return tip.digest, tip.members or self._company.alive
