"""What of the followed chain is final, as votes come and as others are heard to be elsewhere."""

from collections.abc import Collection, Mapping

from peer.rounds.company import Company
from peer.rounds.contests import Contests
from peer.rounds.effects import Finalised, FinalityWithdrawn, FinalityWithout
from peer.rounds.entry import Entry
from peer.rounds.finality import count_votes
from peer.rounds.forbearance import Forbearance
from peer.rounds.ledger import Ledger
from peer.rounds.newcomers import is_amid_its_swarm
from peer.rounds.strays import peers_apart, strays
from peer.types import Digest, PeerId, Seconds

_WINDOWS_TO_COME_OVER = 2
"""Of `history` rounds: several times what two chains need to become one in the torture of tests/swarm."""

_ROUNDS_TO_FOLLOW = 2
"""In which those hear of a better branch who are to follow to it."""

FinalityEffect = Finalised | FinalityWithdrawn | FinalityWithout


class Finality:
    """Counts votes, unless a reachable peer may hold something else as final. final_round: the newest final round."""

    def __init__(self, ledger: Ledger, company: Company) -> None:
        self._ledger = ledger
        self._company = company
        self._contests = Contests(history=ledger.parts.rules.history)
        self._forbearance = Forbearance(rounds=_WINDOWS_TO_COME_OVER * ledger.parts.rules.history)
        self._counted: object = None
        self._count_at = 0
        self._joined_at = -_ROUNDS_TO_FOLLOW  # the round in which the tip last left what was final for another branch
        self._without: dict[PeerId, int] = {}  # who was left out of deciding, and the last such round that is final
        self.final_round = _before(ledger.chain.root)
        self.held_up_by: frozenset[PeerId] = frozenset()
        """Who is known to be on another chain, so that nothing, or less, is final here."""

    def went_back_to(self, ancestor: Entry) -> None:
        """Take note that the tip moved to another branch from `ancestor`, or ahead.

        Where it left rounds that were final here, others may hold them as final still.
        """
        if ancestor.round < self.final_round:
            self.final_round, self._joined_at = ancestor.round, self._ledger.tip.round

    def restarted(self) -> None:
        """Take note that the chain was replaced by a snapshot; those left behind by it are known (strays.py)."""
        self._joined_at = -_ROUNDS_TO_FOLLOW
        self.final_round = _before(self._ledger.chain.root)

    def look(self, now: Seconds) -> list[FinalityEffect]:
        """Report what has become final, and what is final no more; nothing while a stranger may know better."""
        returned = self._returned()
        if self._is_settled() and not returned:
            return []
        if self._company.strangers(now) and not is_amid_its_swarm(self._ledger, self._company):
            return []
        ledger, alive = self._ledger, self._company.alive
        chain, votes = ledger.chain, ledger.votes
        is_root_open = self.final_round < chain.root.round
        contested = self._contests.look(chain, votes, self._company)
        may_be_held_up = is_root_open or bool(self._company.apart)
        elsewhere = self._company.version if may_be_held_up else 0
        known = (ledger.tip.digest, chain.version, alive, elsewhere, self._contests.version)
        if known == self._counted and votes.version < self._count_at:
            return []  # too little has changed since the votes were counted
        self._counted, self._count_at = known, votes.version + 1
        ignored = self._forbearance.ignored
        apart, waited_for = self._elsewhere(is_root_open=is_root_open)
        told: list[FinalityEffect] = [
            FinalityWithout(peer=peer) for peer in sorted(self._forbearance.ignored - ignored)
        ]
        self.held_up_by = waited_for
        if apart & waited_for:
            return [*told, *self._withdraw_all(min(apart & waited_for))]
        if waited_for:
            return told
        self.held_up_by = frozenset(contested.values())
        above = self._count_from(is_contested=bool(contested), has_returned=bool(returned))
        count = count_votes(chain, votes, alive=alive, above=above, contested=contested)
        self._count_at = votes.version + (1 if may_be_held_up else count.short)
        self._without = self._without | count.without if above == self.final_round else count.without
        last = above if count.newest is None else count.newest.round
        if contested and self._awaits_followers():
            last = min(last, self.final_round)
        return [*told, *self._move_to(last, contested, returned)]

    def _awaits_followers(self) -> bool:
        """Return whether those that hold as final what the tip has left may not know yet where it went."""
        tip = self._ledger.tip
        return tip.stop == "" and tip.round < self._joined_at + _ROUNDS_TO_FOLLOW

    def _count_from(self, *, is_contested: bool, has_returned: bool) -> int:
        """Return above which round the votes are counted: as far down as the answer may be another one by now."""
        if has_returned:
            return min(self.final_round, _before(self._ledger.chain.root))
        return min(self.final_round, self._ledger.chain.root.round) if is_contested else self.final_round

    def _returned(self) -> frozenset[PeerId]:
        """Return who can be reached again that had no say in a round of the window that is final."""
        if not self._without:
            return frozenset()
        window = range(self._ledger.chain.root.round, self.final_round + 1)
        self._without = {peer: number for peer, number in self._without.items() if number in window}
        return frozenset(self._without) & self._company.alive

    def _move_to(
        self, last: int, contested: Mapping[Digest, PeerId], returned: Collection[PeerId]
    ) -> list[FinalityEffect]:
        """Make `last` the newest final round."""
        before, self.final_round = self.final_round, last
        if last < before:
            rival = next(iter(contested.values()), None)
            peer = min(returned) if rival is None else rival
            return [FinalityWithdrawn(final_round=last, peer=peer, is_back=rival is None)]
        return [Finalised(entry=entry) for entry in self._ledger.line() if before < entry.round <= last]

    def _is_settled(self) -> bool:
        """Return whether all is final and nobody is known who holds anything else."""
        chain, company = self._ledger.chain, self._company
        return self.final_round == chain.tip.round and not chain.rivals() and not company.apart

    def _withdraw_all(self, peer: PeerId) -> list[FinalityEffect]:
        """Hold nothing as final while `peer` is on a chain that has nothing in common with ours, as far as is known."""
        before = _before(self._ledger.chain.root)
        if self.final_round <= before:
            return []
        self.final_round = before
        return [FinalityWithdrawn(final_round=None, peer=peer)]

    def _elsewhere(self, *, is_root_open: bool) -> tuple[frozenset[PeerId], frozenset[PeerId]]:
        """Return who is on another chain, and which of these and of those who dispute the root are to be waited for."""
        chain, tip = self._ledger.chain, self._ledger.tip
        apart = frozenset(peers_apart(chain=chain, apart=self._company.apart, history=self._ledger.parts.rules.history))
        elsewhere = apart
        if is_root_open and apart <= self._forbearance.ignored:
            elsewhere |= self._disputing_root()
        waited_for = self._forbearance.waits_for(elsewhere, round_number=tip.round, members=len(tip.members))
        return apart, frozenset(waited_for)

    def _disputing_root(self) -> frozenset[PeerId]:
        """Return who may hold a rival final of what left the window undecided here, or came as a snapshot."""
        ledger, tip = self._ledger, self._ledger.tip
        contributors = tip.members | {PeerId(entry.peer) for entry in tip.departed}
        return strays(
            contributors & self._company.reachable, chain=ledger.chain, votes=ledger.votes, told=self._company.told
        )


def _before(root: Entry) -> int:
    """Return the round before a root that is not known to be final: any but genesis."""
    return max(0, root.round - 1)
