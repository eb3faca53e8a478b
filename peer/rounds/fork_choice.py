"""Which of two rival branches to follow (docs/adr/0003). Pure; every peer with the same knowledge decides alike.

1. A branch whose first manifest is decided by the roster before the fork beats one whose is not.
2. A peer that voted for a branch stays while that branch may still be decided, but no longer than its patience.
3. More deltas admitted since genesis; then the sealer whose turn came earlier; then the lower digest.
"""

from collections.abc import Callable
from dataclasses import dataclass

from peer.rounds.entry import Entry
from peer.rounds.roster import peers_of
from peer.types import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One side of a fork. first_*: of its first manifest after the common ancestor. score: of its head.

    decided: more than half of the ancestor's roster stands behind the first manifest.
    """

    first_digest: Digest
    first_view: int
    decided: bool
    score: int


def prefer(challenger: Branch, current: Branch, *, bound: Callable[[], bool]) -> bool:
    """Return whether to leave `current` for `challenger`. bound: tells whether rule 2 holds this peer back."""
    if current.decided != challenger.decided:
        return challenger.decided
    return _standing(challenger) > _standing(current) and not bound()


def outranks(theirs: Entry, ours: Entry, *, history: int) -> bool:
    """Return whether to give up our chain for one that shares no known ancestor with it.

    The higher score wins. Two chains that grow at the same pace would swap the lead for ever, so near a tie the chain
    with more members wins, and among equals the one whose roster has the lowest peer id, whatever the scores are at the
    moment.
    """
    zone = max(tie_zone(ours, history=history), tie_zone(theirs, history=history))
    lead_theirs, lead_ours = _lead(theirs), _lead(ours)
    if abs(theirs.score - ours.score) > zone or lead_theirs == lead_ours:
        return theirs.score > ours.score
    return lead_theirs < lead_ours


def tie_zone(entry: Entry, *, history: int) -> int:
    """Return how far behind a score may be and still count as a tie: what the roster adds in `history` rounds."""
    return history * len(entry.roster)


def _lead(entry: Entry) -> tuple[int, str]:
    return -len(entry.roster), min(peers_of(entry.roster), default="")


def _standing(branch: Branch) -> tuple[int, int, bytes]:
    return branch.score, -branch.first_view, bytes(255 - byte for byte in branch.first_digest)
