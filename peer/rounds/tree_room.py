"""Room in the tree of manifests for those that were not applied here (docs/adr/0075).

They may never be applied, and anybody can make them up. So each is charged to somebody:
- to its sealer, if that is on the roster of the last applied manifest before it;
- else to whoever the manifest before it is charged to. Members that a branch has let in are guests of who sealed it.

Where there is too much, leaves of whoever has most go: guests' first, then the furthest ahead, then the last in line.
What a majority has voted for stays.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from peer.rounds.entry import Entry, electorate
from peer.rounds.ledger import Ledger
from peer.rounds.roster import majority
from peer.types import Digest, PeerId

_MIN_AHEAD = 32
_MAX_RIVALS = 16
"""Manifests on one parent."""
_MAX_RIVALS_PER_SEALER = 4
"""Of these, by one sealer: one process seals once on a parent, and in one round it may be restarted more than once."""
_MIN_PER_PEER = 64
_PEERS = 4
"""So many peers can use up what may be charged to each."""

_Charge = PeerId | None
"""To whom a manifest is charged; None: to all that are not on the roster together."""


class TreeRoom:
    """Decides whether a manifest that follows from its parent may enter the tree, and removes others for it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._max_ahead = max(_MIN_AHEAD, ledger.parts.rules.history)  # what can be replayed may come at once
        self._max_per_peer = max(_MIN_PER_PEER, 2 * self._max_ahead)

    def is_too_far(self, entry: Entry) -> bool:
        """Return whether so much is to be applied before `entry` that it is better left for a later exchange."""
        return entry.round > self._ledger.tip.round + self._max_ahead

    def has_too_many(self, entry: Entry) -> bool:
        """Return whether the sealer of `entry` has sealed on its parent often enough."""
        rivals = self._ledger.chain.children(entry.parent)
        own = sum(rival.sealer == entry.sealer for rival in rivals)
        return own >= _MAX_RIVALS_PER_SEALER and not self._is_backed(entry)

    def make(self, entry: Entry, parent: Entry) -> bool:
        """Return whether there is room for `entry` on `parent`, at the cost of others if need be."""
        return self._make_on_parent(entry, parent) and self._make_in_tree(entry, parent)

    def _make_on_parent(self, entry: Entry, parent: Entry) -> bool:
        rivals = self._ledger.chain.children(parent.digest)
        if len(rivals) < _MAX_RIVALS:
            return True
        after = [rival for rival in rivals if rival.state is None and rival.view > entry.view]
        if not after and self._is_backed(entry):
            after = [rival for rival in rivals if rival.state is None]
        return self._remove_one(sorted(after, key=lambda rival: (rival.view, rival.digest), reverse=True))

    def _make_in_tree(self, entry: Entry, parent: Entry) -> bool:
        bills = self._bills()
        charge = self._bill(entry, parent, bills).charge
        counts = Counter(bill.charge for bill in bills.values())
        if counts[charge] < self._max_per_peer:
            if len(bills) < _PEERS * self._max_per_peer:
                return True
            most = max(counts, key=lambda peer: (counts[peer], str(peer)))
            if counts[most] > counts[charge] + 1:
                return self._remove_one(self._leaves(bills, most, parent))
        own = self._leaves(bills, charge, parent)
        if not self._is_backed(entry):
            own = [leaf for leaf in own if _use(leaf, charge) > _use(entry, charge)]
        return self._remove_one(own)

    def _bills(self) -> dict[Digest, "_Bill"]:
        """Return those of all manifests that are not applied; a tree holds parents before their children."""
        chain = self._ledger.chain
        bills: dict[Digest, _Bill] = {}
        for entry in chain.beside_tip():
            parent = chain.get(entry.parent)
            if entry.state is None and parent is not None:
                bills[entry.digest] = self._bill(entry, parent, bills)
        return bills

    @staticmethod
    def _bill(entry: Entry, parent: Entry, bills: dict[Digest, "_Bill"]) -> "_Bill":
        before = bills[parent.digest] if parent.state is None else _Bill(charge=None, roster=parent.members)
        is_own = entry.sealer in before.roster or not before.roster  # after genesis nobody is on it yet
        return _Bill(charge=entry.sealer, roster=before.roster) if is_own else before

    def _leaves(self, bills: dict[Digest, "_Bill"], charge: _Charge, parent: Entry) -> list[Entry]:
        """Return the manifests charged to one peer that nothing builds on, the one that can be spared best first."""
        beside = self._ledger.chain.beside_tip()
        inner = {entry.parent for entry in beside} | {parent.digest}
        charged = {digest for digest, bill in bills.items() if bill.charge == charge} - inner
        leaves = [entry for entry in beside if entry.digest in charged]
        return sorted(leaves, key=lambda leaf: _use(leaf, charge), reverse=True)

    def _remove_one(self, candidates: Iterable[Entry]) -> bool:
        """Remove the first of these that no majority has voted for; return whether there was one."""
        found = next((entry for entry in candidates if not self._is_backed(entry)), None)
        if found is not None:
            self._ledger.chain.remove_branch(found)
        return found is not None

    def _is_backed(self, entry: Entry) -> bool:
        """Return whether a majority of those who decide has voted for `entry`."""
        parent = self._ledger.chain.get(entry.parent)
        if parent is None:
            return False
        electors = electorate(parent, entry)
        voters = self._ledger.votes.voters(entry.round, entry.digest, entry.model)
        return len(voters & electors) >= majority(len(electors))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bill:
    """To whom a manifest is charged, and the roster of the last applied manifest before it."""

    charge: _Charge
    roster: frozenset[PeerId]


def _use(entry: Entry, charge: _Charge) -> tuple[bool, int, int, Digest]:
    """Return the place among what is charged to one peer; what can be spared best comes last."""
    return entry.sealer != charge, entry.round, entry.view, entry.digest
