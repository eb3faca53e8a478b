"""Which rounds are final: more than half of those who were entitled to decide stand behind them (docs/adr/0003).

Entitled to decide on a manifest is the roster before it, less the members that have dropped out of the roster since and
cannot be reached: a dead peer must not keep rounds open for ever (mode `available`). Standing behind it means having acked it or a
manifest that builds on it. A branch whose electors are alive elsewhere is therefore never final.
"""

from collections.abc import Sequence

from peer.rounds.entry import Entry, electorate
from peer.rounds.roster import majority, peers_of
from peer.rounds.votes import VoteBook
from peer.types import PeerId


def last_final(line: Sequence[Entry], votes: VoteBook, *, reachable: frozenset[PeerId]) -> Entry | None:
    """Return the newest final entry of `line` (oldest entry first, each the parent of the next), or None.

    All entries before a final one are final too. The first entry serves as parent only.
    """
    present = peers_of(line[-1].roster) | reachable
    behind: set[PeerId] = set()
    for parent, entry in zip(line[-2::-1], line[:0:-1], strict=True):  # newest first
        behind |= votes.voters(entry.parent, entry.digest, entry.model)
        entitled = electorate(parent, entry) & present
        if parent.roster and entitled and len(behind & entitled) >= majority(len(entitled)):
            return entry
    return None
