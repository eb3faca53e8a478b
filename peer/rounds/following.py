"""Keeping up with the chain: which branch to follow, applying it, and voting for it."""

import math
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from peer.rounds.branches import better
from peer.rounds.chain import Chain
from peer.rounds.company import Company, Told
from peer.rounds.effects import Applied, Effect, ModelDiffers, Publish, Switched
from peer.rounds.entry import Entry, electorate
from peer.rounds.finalising import Finality
from peer.rounds.ledger import Ledger
from peer.rounds.manifest import STOP_RETURN
from peer.rounds.roster import majority
from peer.rounds.round_in_progress import RoundInProgress
from peer.rounds.strays import beside_line, is_forsaken, left_behind
from peer.rounds.voting import Voter
from peer.types import Digest, PeerId, Seconds
from peer.wire.hashing import differing_parts
from peer.wire.messages import announcement
from peer.wire.sync import Tip

RIVALS_LOOK_S = 0.5
"""While a rival branch is known, patience may run out at any time: look again this often."""
_MAX_DISTRUSTED = 16


class Follower:
    """Moves the tip. repairing: the state held here is wrong, and a snapshot must replace it."""

    def __init__(self, ledger: Ledger, company: Company, finality: Finality, current: RoundInProgress) -> None:
        self._ledger = ledger
        self._company = company
        self._round = current
        self._finality = finality
        self._voter = Voter(ledger, company)
        self._distrusted: dict[Digest, tuple[ModelDiffers, frozenset[str]]] = {}
        self._seen: object = None
        self._votes_seen = 0
        self._asked_votes = False
        self._look_again_at: Seconds = 0.0
        self._left_aside_until: Seconds = math.inf
        self.repairing = False

    def best(self, now: Seconds) -> Entry:
        """Return the entry that the tip should be, among those that can be applied; on a wrong state nothing can."""
        if self.has_no_choice() or (self._what_matters() == self._seen and self.rests_on_votes(now)):
            return self._ledger.tip
        self._asked_votes, self._left_aside_until = False, math.inf
        best = self._head(now)
        self._seen, self._look_again_at = self._what_matters(), min(now + RIVALS_LOOK_S, self._left_aside_until)
        self._votes_seen = self._ledger.votes.version
        return best

    @property
    def is_patient(self) -> bool:
        """Return whether a vote, or a branch's stinginess, holds this peer back: then time alone may move the tip."""
        return self._asked_votes and not self.has_no_choice()

    def look_again_at(self, now: Seconds) -> Seconds | None:
        """Return when time alone may move the tip; None while it cannot."""
        return min(now + RIVALS_LOOK_S, max(self._left_aside_until, now)) if self.is_patient else None

    def has_no_choice(self) -> bool:
        return not self._ledger.chain.rivals() or self.repairing

    def rests_on_votes(self, now: Seconds) -> bool:
        """Return whether no vote, and no time passed, since the last choice of a tip calls for another choice."""
        ledger = self._ledger
        if self.is_patient and now >= self._look_again_at:
            return False
        return ledger.votes.version == self._votes_seen or not (
            self._asked_votes or ledger.decisions.anything_new(ledger.chain, ledger.votes)
        )

    def _what_matters(self) -> object:
        """Return what the choice depends on besides votes and time. Work for the next round does not matter to it."""
        ledger, chain = self._ledger, self._ledger.chain
        company = self._company.alive if self._asked_votes else None  # they tell whether the own vote may yet decide
        return (
            chain.tip.digest,
            chain.version,
            ledger.eligibility.version,
            ledger.missing.num_applicable_beside_tip(),
            company,
        )

    def _head(self, now: Seconds) -> Entry:
        """Return where the best of all branches ends.

        Forks are settled from the newest to the oldest. Else a branch may win by a score that counts for nothing once
        its own inner fork is decided, and three branches, each better than the one before, never come to rest.
        """
        tree = _Tree.of(self._ledger.chain)
        aside = self._left_aside(tree, now)
        heads: dict[Digest, Entry] = {}
        for entry in reversed(tree.entries):
            best = entry
            for child in tree.children[entry.digest]:
                head = heads[child.digest]
                if child.digest in tree.line:
                    best = head  # where this peer is, it needs no reason to be
                elif child.digest not in aside and self._ledger.missing.can_apply(child):
                    best = self._better(best, head, now)
            heads[entry.digest] = best
        return heads[self._ledger.chain.root.digest]

    def _better(self, current: Entry, challenger: Entry, now: Seconds) -> Entry:
        bound = partial(self._is_bound, current, challenger, now)
        wins = better(challenger, current, ledger=self._ledger, told_at=self._told_at, bound=bound)
        return challenger if wins else current

    def _left_aside(self, tree: "_Tree", now: Seconds) -> set[Digest]:
        """Return which of the entries that go on from the tip are not followed yet, for admitting too few."""
        ahead, aside = {self._ledger.tip.digest}, set[Digest]()
        for entry in tree.entries:
            if entry.parent in ahead and self._ledger.missing.can_apply(entry):
                (aside if self._is_left_aside(entry, now) else ahead).add(entry.digest)
        return aside

    def _is_left_aside(self, child: Entry, now: Seconds) -> bool:
        until = self._round.left_aside_until(child, now)
        if until is None:
            return False
        self._asked_votes, self._left_aside_until = True, min(until, self._left_aside_until)
        return True

    def _is_bound(self, current: Entry, challenger: Entry, now: Seconds) -> bool:
        self._asked_votes = True
        return self._voter.is_bound(current, challenger, now)

    def _told_at(self, tips: Collection[Digest]) -> frozenset[PeerId]:
        self._asked_votes = True
        return self._company.told_at(tips)

    def move_to(self, target: Entry, *, sealing_s: Seconds, now: Seconds) -> list[Effect]:
        """Apply what leads to `target` and make it the tip; a manifest that names another model stops that."""
        ancestor, undone, path = self._ledger.chain.fork(self._ledger.tip, target)
        for entry in path:
            if entry.state is None and (differs := self._apply(entry)):
                return [differs]
        self._ledger.chain.tip = target
        self._finality.went_back_to(ancestor)
        effects: list[Effect] = []
        if undone:
            effects.append(Switched(undone=tuple(undone), ancestor_round=ancestor.round, to=target))
        for parent, entry in zip([ancestor, *path], path, strict=False):
            effects.append(Applied(entry=entry, parent=parent, sealing_s=sealing_s))
        return [*effects, *self.vote(path, now)]

    def vote(self, path: list[Entry], now: Seconds) -> list[Publish]:
        acks = self._voter.vote(path, now, final_round=self._finality.final_round)
        return [Publish(data=announcement(ack.data, None)) for ack in acks]

    def took_part(self, round_number: int) -> None:
        """Note that this process has announced a delta for a round; it votes from then on."""
        self._voter.took_part(round_number)

    def leave_for(self, entry: Entry) -> None:
        """Take note that the chain is about to be replaced by a snapshot: who is on it is on another one then."""
        ledger, company = self._ledger, self._company
        left = left_behind(company.reachable, chain=ledger.chain, votes=ledger.votes, told=company.told)
        company.lost_sight_of({peer: told for peer, told in left.items() if told.tip.digest != entry.digest})
        self._voter.leave_for(entry)

    def restarted(self) -> None:
        """Take note that the root is a snapshot: checked whole, so nothing is distrusted any more."""
        self._finality.restarted()
        self.repairing = False
        self._distrusted.clear()

    def forget(self) -> None:
        """Move the window up to the tip. Who was seen on a rival that leaves it is on another chain from now on."""
        ledger, company = self._ledger, self._company
        rivals: dict[PeerId, Told] = {}
        if ledger.chain.rivals():
            rivals = beside_line(company.reachable, chain=ledger.chain, votes=ledger.votes, told=company.told)
        ledger.forget()
        company.lost_sight_of({peer: told for peer, told in rivals.items() if told.tip.digest not in ledger.chain})
        self._voter.forget()
        root_round = self._ledger.chain.root.round
        for digest, (found, _) in list(self._distrusted.items()):
            if found.entry.round <= root_round:
                del self._distrusted[digest]

    def distrusts(self, manifest: Digest) -> bool:
        return manifest in self._distrusted

    def heard(self, peer: PeerId, tip: Tip, *, is_apart: bool) -> None:
        """Take note of what a peer says of its tip. is_apart: it holds nothing that we hold."""
        chain, votes = self._ledger.chain, self._ledger.votes
        apart = is_apart or is_forsaken(Digest(tip.digest), chain=chain, votes=votes)
        newest = self._ledger.pool.newest_of(peer)
        announced = 0 if newest is None else newest.message.sequence
        self._company.heard(peer, Told(tip=tip, voted=votes.last_round_of(peer), announced=announced, apart=apart))

    def doubt(self) -> list[ModelDiffers]:
        """Distrust the own state once a majority got the model of a manifest that this peer could not reproduce."""
        if not self._distrusted:
            return []
        for digest, (found, electors) in list(self._distrusted.items()):
            if self._majority_agrees(found.entry, electors):
                del self._distrusted[digest]
                self.repairing = True
                return [replace(found, repairing=True)]
        return []

    def _apply(self, entry: Entry) -> ModelDiffers | None:
        """Compute the model after `entry`; a manifest that names another one leaves the chain."""
        parent = self._ledger.chain.get(entry.parent)
        assert parent is not None, "an entry without parent is an orphan, not in the chain"
        assert parent.state is not None, "the path to a target is applied in order"
        state = self._ledger.next_state(parent.state, entry.deltas, keeps_model=entry.stop == STOP_RETURN)
        computed = self._ledger.parts.pure.model_hash(state)
        if computed == entry.model:
            entry.state = state
            return None
        electors = electorate(parent, entry)
        self._ledger.chain.remove_branch(entry)
        self.repairing = self.repairing or self._majority_agrees(entry, electors)
        assert entry.manifest is not None, "genesis is never applied"
        parts = differing_parts(state, entry.manifest.message.parts, self._ledger.parts.schema)
        found = ModelDiffers(entry=entry, computed=computed, parts=parts, repairing=self.repairing)
        if not self.repairing:
            self._distrusted[entry.digest] = (found, electors)
            while len(self._distrusted) > _MAX_DISTRUSTED:
                del self._distrusted[next(iter(self._distrusted))]
        return found

    def _majority_agrees(self, entry: Entry, electors: frozenset[str]) -> bool:
        agreeing = self._ledger.votes.voters(entry.round, entry.digest, entry.model)
        return len(agreeing & electors) >= majority(len(electors))


@dataclass(frozen=True, slots=True)
class _Tree:
    """The tree of manifests, made ready for choosing a branch.

    entries: all, parents before their children. children: of each, the one on the line to the tip first. line: the
    entries on it.
    """

    entries: list[Entry]
    children: dict[Digest, list[Entry]]
    line: frozenset[Digest]

    @classmethod
    def of(cls, chain: Chain) -> Self:
        on_line = chain.line_to(chain.tip)
        entries = [*on_line, *chain.beside_tip()]
        children: dict[Digest, list[Entry]] = defaultdict(list)
        for entry in entries[1:]:
            children[entry.parent].append(entry)
        return cls(entries, children, frozenset(entry.digest for entry in on_line))
