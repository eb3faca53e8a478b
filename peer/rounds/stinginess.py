"""Manifests that admit far fewer deltas than were to be had, which nobody need follow (docs/adr/0076).

Whose turn it is to seal, and when, is each peer's own matter: a manifest is valid whoever signs it, and however early.
So one member could seal every round alone, with nothing but its own delta, before anybody else has trained.

Only peers that the chain names count, members and the last that have left, so that nobody wins by bringing strangers.
"""

from peer.rounds.entry import Entry, electorate
from peer.rounds.ledger import Ledger

_FEW = 2
"""One peer outnumbers nobody."""
FRESH_ROUNDS = 2
"""So many rounds after a fork, votes have decided it, or the score does: a side whose window begins after the fork can
not know that it is outnumbered, and would wait for the other, as the other for it."""


def num_admitted(parent: Entry, child: Entry, ledger: Ledger) -> int:
    """Return of how many of the peers that are known before it `child` counts the work."""
    rules = ledger.parts.rules
    return child.settle(rules).num_admitted(parent.settle(rules))


def is_outnumbered_by_rival(parent: Entry, child: Entry, ledger: Ledger) -> bool:
    """Return whether a rival of `child` that could be applied counts the work of at least twice as many known peers,
    and no majority has decided for `child`.

    Else a member that seals one manifest on the other alone, as fast as it can sign them, would have the higher score.
    """
    rivals = [rival for rival in ledger.chain.children(parent.digest) if rival is not child]
    if not rivals or not parent.roster:
        return False
    most = max((num_admitted(parent, rival, ledger) for rival in rivals if ledger.can_apply(rival)), default=0)
    if most < _FEW or 2 * num_admitted(parent, child, ledger) > most:
        return False
    return not ledger.is_decided(child, electorate(parent, child))
