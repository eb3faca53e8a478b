"""This peer's own votes: at most one a round, and none for a branch while its earlier vote may still decide a rival.

Following a branch and voting for it are two things. A peer may give up waiting and follow the better branch, which
keeps it working; but a vote given before may have made the other branch final somewhere, so it votes for the new one
only when the votes it knows rule that out (docs/adr/0003).
"""

import itertools
from collections.abc import Sequence

from peer.rounds.branches import open_vote
from peer.rounds.company import Company
from peer.rounds.entry import Entry, electorate
from peer.rounds.ledger import Ledger
from peer.rounds.strays import strays
from peer.types import Digest, Seconds
from peer.wire.envelope import Signed, seal
from peer.wire.limits import MAX_ADMITTED
from peer.wire.messages import Ack


class Voter:
    """Casts votes and knows when this process cast them."""

    def __init__(self, ledger: Ledger, company: Company) -> None:
        self._ledger = ledger
        self._company = company
        self._voted_at: dict[int, Seconds] = {}
        self._first_round: int | None = None
        self._last_round = 0  # of this process's votes, forgotten ones included
        self._left_round = 0  # of the last vote on a chain that was left by snapshot

    def took_part(self, round_number: int) -> None:
        """Allow votes from this round on: this process has announced a delta for it.

        Rounds before may hold votes of an earlier life that this process knows nothing of, and a second vote could make
        two rivals final.
        """
        if self._first_round is None:
            self._first_round = round_number

    def leave_for(self, entry: Entry) -> None:
        """Remember the last vote for the chain that is about to be replaced by `entry`, a snapshot.

        Where the two part is not known, so the vote may be what makes a rival final for others (docs/adr/0048).
        """
        last, manifest = self._last_vote()
        voted = self._ledger.chain.get(manifest) if manifest else None
        goes_on = self._ledger.chain.get(entry.digest)
        if voted is None or goes_on is None or not self._ledger.chain.descends(goes_on, voted):
            self._left_round = max(self._left_round, last)

    def vote(self, path: Sequence[Entry], now: Seconds, *, final_round: int) -> list[Signed[Ack]]:
        """Vote for each applied entry of `path` that may be voted for; return the acks to publish.

        final_round: the last round of the line that is final here.
        """
        acks: list[Signed[Ack]] = []
        for entry in path:
            if self._may_vote(entry) and not self._is_bystander(entry, final_round):
                last, manifest = self._last_vote()
                after = last if manifest else entry.round - 1  # knows of no earlier vote: promises nothing about them
                body = Ack(entry.round, entry.parent, entry.digest, entry.model, after)
                acks.append(seal(body, self._ledger.parts.signer, run=self._ledger.parts.run))
                self._ledger.votes.add(acks[-1])
                self._voted_at[entry.round] = now
                self._last_round = entry.round
        return acks

    def is_bound(self, current: Entry, challenger: Entry, now: Seconds) -> bool:
        """Return whether a vote for the branch of `current` still holds this peer back from `challenger`."""
        if open_vote(current, challenger, ledger=self._ledger, alive=self._company.alive) is None:
            return False
        ancestor, _, _ = self._ledger.chain.fork(current, challenger)
        voted = [time for number, time in self._voted_at.items() if number > ancestor.round]
        return bool(voted) and now - min(voted) < self._ledger.parts.rules.grace_s

    def forget(self) -> None:
        root_round = self._ledger.chain.root.round
        self._voted_at = {number: time for number, time in self._voted_at.items() if number > root_round}

    def _may_vote(self, entry: Entry) -> bool:
        if self._first_round is None or entry.round < self._first_round:
            return False
        if entry.round <= self._last_round:
            return False  # a second vote in one round would be held against us, whatever became of the first
        last, manifest = self._last_vote()
        if manifest is not None and entry.round <= last:
            return False
        target = self._ledger.chain.get(manifest) if manifest else None
        if target is not None and open_vote(target, entry, ledger=self._ledger, alive=self._company.alive) is not None:
            return False
        is_of_this_life = last in self._voted_at
        unsettled = self._left_round if target is not None or is_of_this_life else max(self._left_round, last)
        return not (unsettled and self._may_contradict(entry, unsettled))

    def _may_contradict(self, entry: Entry, voted: int) -> bool:
        """Return whether somebody may still count an own vote of round `voted` for a rival of `entry`.

        For as long as a fork can be in anybody's window; less when nobody is known to be elsewhere any more.
        """
        ledger, company = self._ledger, self._company
        if entry.round > voted + ledger.parts.rules.history:
            return False
        return bool(strays(company.reachable, chain=ledger.chain, votes=ledger.votes, told=company.told))

    def _is_bystander(self, entry: Entry, final_round: int) -> bool:
        """Return whether this vote is one too many: in a large swarm only those vote whose votes can decide.

        A vote decides for all that `entry` builds on. So the electors of a round that did not become final, as too few
        of them held it in time, go on voting until it is; those of the next rounds are others.
        """
        chain = self._ledger.chain
        parent = chain.get(entry.parent)
        is_large = len(self._company.alive) > MAX_ADMITTED or (parent is not None and parent.grouping is not None)
        if not is_large or parent is None:
            return False
        line = chain.line_to(entry)
        pending = ((below, one) for below, one in itertools.pairwise(line) if one is entry or one.round > final_round)
        return not any(self._ledger.me in electorate(below, one) for below, one in pending)

    def _last_vote(self) -> tuple[int, Digest | None]:
        """Return the latest round with a vote of this peer, from an earlier life too, and what the vote is for."""
        votes, me = self._ledger.votes, self._ledger.me
        own = ((number, votes.vote_of(me, number)) for number in reversed(votes.rounds()))
        return next(((number, vote) for number, vote in own if vote), (0, None))
