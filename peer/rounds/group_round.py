"""The round in progress of a large swarm: what the own group waits for, what the top manifest waits for, and who seals.

Both levels follow `sealing.seal_time`. The members of a group seal it in the order of their places; then the roster
seals the round, in the order of its line, as soon as every group is in that anybody alive belongs to. The top level's
deadline is one grace period later, so that the backups of a group have their turns before.
"""

from peer.rounds.arrivals import Arrivals
from peer.rounds.company import Company
from peer.rounds.entry import admitted_by
from peer.rounds.grouping import Grouping
from peer.rounds.ledger import Ledger
from peer.rounds.memo import Memo
from peer.rounds.quorum import STRICT, is_quorum
from peer.rounds.sealing import SealingView, deadline, seal_time
from peer.types import PeerId, Seconds
from peer.wire.limits import MAX_ADMITTED

LOOKED_AT = 64
"""Places before the own one that are looked at: `sealing.py` lets the later ones step in together anyway."""
_ASKERS = 4
"""So many places in line go after what is missing; the others wait for the seal."""


class GroupRound:
    """Asked only while the tip has groups."""

    def __init__(self, ledger: Ledger, company: Company) -> None:
        self._ledger = ledger
        self._company = company
        self._rules = ledger.parts.rules
        self._opened_at: Seconds = 0.0
        self._group = Arrivals()
        self._top = Arrivals()
        self._expected_group: frozenset[PeerId] = frozenset()
        self._expected_groups: frozenset[int] = frozenset()
        self._before: tuple[int, int] = (0, 0)
        self._key: object = None
        self._group_due_memo = Memo[Seconds | None]()
        self._top_complete_memo = Memo[bool]()
        self._contributes_memo = Memo[bool]()

    def open(self, now: Seconds) -> None:
        """Begin the round after a new tip."""
        self._opened_at = now
        self._group, self._top = Arrivals(), Arrivals()
        self._group_due_memo.forget()

    def contributes(self) -> bool:
        """Return whether this peer announces a delta for the round: as a contributor, or a stranger with room left."""
        return self._contributes_memo.get((self._ledger.tip.digest, self._company.alive), self._has_place)

    def audience(self) -> tuple[PeerId, ...]:
        """Return to whom the own header goes: those of the group who may have to seal it, and can be reached."""
        alive, me = self._company.alive, self._ledger.me
        return tuple(peer for peer in self._own_group() if peer in alive and peer != me)

    def group_due(self, now: Seconds) -> Seconds | None:
        """Return when this peer should seal its group; None when it has no seal to make."""
        ledger = self._ledger
        rank = self._grouping.rank_of(ledger.me)
        if rank is None or ledger.group_candidates.own() is not None:
            self._group_due_memo.forget()
            return None
        self._look()
        tip, alive, expected = ledger.chain.tip.digest, self._company.alive, self._expected_group
        candidates = ledger.candidate_peers()
        is_complete = len(candidates) >= len(expected) and expected <= candidates
        has_half = 2 * len(candidates) >= len(expected)
        seals = ledger.groups.of_group(tip, ledger.own_group)
        key = (tip, alive, is_complete, has_half, bool(candidates), len(seals))
        return self._group_due_memo.get(key, lambda: self._group_due(now, rank=rank, is_complete=is_complete))

    def _group_due(self, now: Seconds, *, rank: int, is_complete: bool) -> Seconds | None:
        """Return when this peer should seal for its group: members in the order of their places, others after them.

        Others, who are not on the roster, seal when no member did: or a chain whose members are all gone, or are on
        another one, would never go on (docs/adr/0055).
        """
        ledger = self._ledger
        if not ledger.groups.takes(ledger.me, base=ledger.tip.digest, group=ledger.own_group, rank=rank):
            return None  # sealed by an earlier life, whose payload is not here; or by enough others
        candidates, expected = ledger.candidate_peers(), self._expected_group
        self._group.note(have=len(candidates), expected=len(expected), is_complete=is_complete, now=now)
        before = self._own_group()[:rank]
        view = self._view(
            self._group, opened_at=self._opened_at, candidates=len(candidates), expected=len(expected),
            before=len(before), reachable_before=sum(peer in self._company.alive for peer in before),
        )  # fmt: skip
        return seal_time(view, self._rules)

    def top_standing(self) -> object:
        """Return what `top_due` depends on besides time and company."""
        self._look()
        ledger, expected = self._ledger, self._expected_groups
        candidates = ledger.group_candidates
        known = len(candidates.best())
        has_quorum = candidates.version if self._rules.partition == STRICT else None
        return ledger.chain.tip.digest, known > 0, 2 * known >= len(expected), self._is_top_complete(known), has_quorum

    def top_due(self, now: Seconds) -> Seconds | None:
        """Return when this peer should seal the round, None while it has nothing to seal."""
        self._look()
        best = self._ledger.group_candidates.best()
        is_complete = self._is_top_complete(len(best))
        self._top.note(have=len(best), expected=len(self._expected_groups), is_complete=is_complete, now=now)
        before, reachable_before = self._before
        view = self._view(
            self._top, opened_at=self._opened_at + self._rules.grace_s, candidates=len(best),
            expected=len(self._expected_groups), before=before, reachable_before=reachable_before,
        )  # fmt: skip
        due = seal_time(view, self._rules)
        return due if due is None or self._may_seal() else None

    def deadline(self) -> Seconds:
        """Return when the round need wait for no group any more, with half of them."""
        return deadline(self._opened_at + self._rules.grace_s, self._top.half_since, self._rules)

    def _is_top_complete(self, known: int) -> bool:
        """Return whether every group with anybody alive has sent a seal by one of its members.

        known: how many seals have come in; while they are too few, nothing is looked through.
        """
        expected, candidates = self._expected_groups, self._ledger.group_candidates
        if len(expected) > known:
            return False
        key = (candidates.version, expected)
        return self._top_complete_memo.get(key, lambda: expected <= candidates.of_members().keys())

    def missing(self) -> frozenset[PeerId]:
        """Return the peers of the own group whose deltas it still waits for; none once it is sealed."""
        if self._ledger.group_candidates.own() is not None:
            return frozenset()
        self._look()
        return self._expected_group - self._ledger.candidate_peers()

    def to_ask(self) -> frozenset[PeerId]:
        """Return whom this peer should ask for what is missing, if it may have to seal soon."""
        rank = self._grouping.rank_of(self._ledger.me)
        asked = self.missing() if rank is not None and rank < _ASKERS else frozenset()
        self._look()
        if self._before[0] >= _ASKERS:
            return asked
        absent = self._expected_groups - self._ledger.group_candidates.best().keys()
        alive, me = self._company.alive, self._ledger.me
        groups = self._grouping.groups
        firsts = (next((peer for peer in groups[number] if peer in alive and peer != me), None) for number in absent)
        return asked | {peer for peer in firsts if peer is not None}

    @property
    def _grouping(self) -> Grouping:
        grouping = self._ledger.grouping
        assert grouping is not None, "asked only while the tip has groups"
        return grouping

    def _own_group(self) -> tuple[PeerId, ...]:
        grouping = self._grouping
        return grouping.groups[self._ledger.own_group]

    def _look(self) -> None:
        """Work out whom the round waits for, when the tip or the company has changed."""
        tip, alive = self._ledger.tip, self._company.alive
        key = (tip.digest, alive)
        if key == self._key:
            return
        self._key = key
        standing, grouping, me = tip.settle(self._rules), self._grouping, self._ledger.me
        missed = standing.missed
        self._expected_group = frozenset(
            peer for peer in self._own_group() if peer == me or (peer in alive and not missed[peer])
        )
        self._expected_groups = frozenset(
            number for number, group in enumerate(grouping.groups) if not alive.isdisjoint(group)
        )
        rank = standing.ranks.get(me, len(standing.line))
        before = standing.line[: min(rank, LOOKED_AT)]
        self._before = len(before), len(alive.intersection(before))

    def _view(
        self, arrivals: Arrivals, *, opened_at: Seconds, candidates: int, expected: int, before: int,
        reachable_before: int,
    ) -> SealingView:  # fmt: skip
        return SealingView(
            opened_at=opened_at,
            complete_since=arrivals.complete_since,
            half_since=arrivals.half_since,
            candidates=candidates,
            expected=expected,
            before=before,
            reachable_before=reachable_before,
            outsider=self._ledger.me not in self._ledger.tip.members and reachable_before > 0,
        )

    def _may_seal(self) -> bool:
        if self._rules.partition != STRICT:
            return True
        best = self._ledger.group_candidates.best()
        return is_quorum(self._grouping.contributors, admitted_by(best.values()))

    def _has_place(self) -> bool:
        grouping, me = self._grouping, self._ledger.me
        if me in grouping.contributors:
            return True
        if me in grouping.idle:
            return False
        strangers = self._company.alive - self._ledger.tip.members
        room = MAX_ADMITTED - len(self._own_group())
        return me in grouping.in_turn(strangers, group=grouping.group_of(me))[:room]
