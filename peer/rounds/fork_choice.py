"""Which of two rival branches to follow (docs/adr/0003). Pure; every peer with the same knowledge decides alike.

1. A branch whose first manifest is final by the roster before the fork beats one whose is not.
2. A peer that voted for a branch stays while that branch may still become final, but no longer than the patience.
3. More deltas admitted since genesis; then the sealer whose turn came earlier; then the lower digest.
"""

from dataclasses import dataclass

from peer.rounds.entry import Entry
from peer.rounds.roster import majority, peers_of
from peer.types import Digest, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One side of a fork. first_*: of its first manifest after the common ancestor. score: of its head.

    votes: members of the ancestor's roster that acked the first manifest. undecided: reachable members whose vote at the
    fork is not known.
    """

    first_digest: Digest
    first_view: int
    votes: int
    undecided: int
    score: int


def prefer(
    challenger: Branch, current: Branch, *, members: int, voted: bool, held_s: Seconds, patience_s: Seconds
) -> bool:
    """Return whether to leave `current` for `challenger`.

    members: size of the common ancestor's roster (0 after genesis: nothing can be final yet). voted: this peer acked
    the first manifest of `current`, `held_s` ago.
    """
    if members:
        if is_final(current.votes, members) != is_final(challenger.votes, members):
            return is_final(challenger.votes, members)
        if voted and held_s < patience_s and may_become_final(current, members):
            return False
    return _standing(challenger) > _standing(current)


def outranks(theirs: Entry, ours: Entry, *, history: int) -> bool:
    """Return whether to give up our chain for one that shares no known ancestor with it.

    The higher score wins. Two chains that grow at the same pace would swap the lead for ever, so near a tie the chain
    whose roster has the lowest peer id wins, whatever the scores are at the moment.
    """
    zone = max(tie_zone(ours, history=history), tie_zone(theirs, history=history))
    lowest_theirs, lowest_ours = min(peers_of(theirs.roster), default=""), min(peers_of(ours.roster), default="")
    if abs(theirs.score - ours.score) > zone or lowest_theirs == lowest_ours:
        return theirs.score > ours.score
    return lowest_theirs < lowest_ours


def tie_zone(entry: Entry, *, history: int) -> int:
    """Return how far behind a score may be and still count as a tie: what the roster adds in `history` rounds."""
    return history * len(entry.roster)


def is_final(votes: int, members: int) -> bool:
    return votes >= majority(members)


def may_become_final(branch: Branch, members: int) -> bool:
    """Return whether the votes that may still come in could make it a majority."""
    return is_final(branch.votes + branch.undecided, members)


def _standing(branch: Branch) -> tuple[int, int, bytes]:
    return branch.score, -branch.first_view, bytes(255 - byte for byte in branch.first_digest)
