"""Manifests that admit far fewer deltas than were to be had, which nobody need follow (docs/adr/0076).

Whose turn it is to seal, and when, is each peer's own matter: a manifest is valid whoever signs it, and however early.
So one member could seal every round alone, with nothing but its own delta, before anybody else has trained.

Only peers that the chain names count, members and the last that have left, so that nobody wins by bringing strangers.
"""

from collections.abc import Callable, Collection, Sequence

from peer.rounds.entry import Entry, electorate
from peer.rounds.ledger import Ledger
from peer.types import Digest, PeerId

_FEW = 2
"""One peer outnumbers nobody."""
ToldAt = Callable[[Collection[Digest]], frozenset[PeerId]]
"""Returns whose tip is one of these, as they last said."""
FRESH_ROUNDS = 2
"""So many rounds after a fork, votes have decided it, or the score does: a side whose window begins after the fork can
not know that it is outnumbered, and would wait for the other, as the other for it."""


def num_admitted(parent: Entry, child: Entry, ledger: Ledger) -> int:
    """Return of how many of the peers that are known before it `child` counts the work."""
    rules = ledger.parts.rules
    return child.settle(rules).num_admitted(parent.settle(rules))


def admitted_from(entry: Entry, ledger: Ledger) -> frozenset[PeerId]:
    """Return whose work is counted by `entry`, beside the line to the tip, and by what builds on it and can be applied.

    A peer that seals alone cannot put others' work there.
    """
    rules, seen = ledger.parts.rules, {entry.digest}
    admitted = entry.settle(rules).in_time
    for later in ledger.chain.beside_tip():
        if later.parent in seen and ledger.missing.can_apply(later):
            seen.add(later.digest)
            admitted |= later.settle(rules).in_time
    return admitted


def is_outnumbered_by_rival(parent: Entry, branch: Sequence[Entry], ledger: Ledger, told_at: ToldAt) -> bool:
    """Return whether a rival of the first manifest of `branch` has at least twice as much to show for itself.

    For the rival manifest speak the known peers whose work it counts, and who do not say that they are on the branch by
    now. For the branch speak those whose work any of its manifests counts, and those who say that they are on it; to
    the known ones are added those whom the rival itself names. A rival that could not be applied does not count, nor
    does any once a majority has decided for the branch.
    Why: a member that seals alone, one manifest on the other as fast as it can sign them, has the higher score.
    """
    child = branch[0]
    rivals = [rival for rival in ledger.chain.children(parent.digest) if rival is not child]
    if not rivals or not parent.roster:
        return False
    rivals = [rival for rival in rivals if ledger.missing.can_apply(rival)]
    most = max((num_admitted(parent, rival, ledger) for rival in rivals), default=0)
    if most < _FEW or 2 * num_admitted(parent, child, ledger) > most:
        return False
    rules = ledger.parts.rules
    known = parent.settle(rules).known
    there = told_at({entry.digest for entry in branch})
    on_branch = there.union(*(entry.settle(rules).in_time for entry in branch))
    counted = [rival.settle(rules).in_time for rival in rivals]
    if not any(_outnumbers(rival & known - there, on_branch & (known | rival)) for rival in counted):
        return False
    return not ledger.is_decided(child, electorate(parent, child))


def _outnumbers(one: Collection[PeerId], other: Collection[PeerId]) -> bool:
    return len(one) >= max(_FEW, 2 * len(other))
