"""Which of two rival branches to follow (docs/adr/0003). Pure; every peer with the same knowledge decides alike.

1. A branch whose first manifest is decided by the roster before the fork beats one whose is not.
2. A branch without work of peers that are not allowed beats one with it (eligibility.py); so does, while their fork is
   fresh, one that begins with twice as much work as another (stinginess.py).
3. A peer that voted for a branch stays while that branch may still be decided, but no longer than its patience.
4. More deltas admitted since genesis; then the sealer whose turn came earlier; then the lower digest.
"""

from collections.abc import Callable
from dataclasses import dataclass

from peer.rounds.entry import Entry
from peer.rounds.standing import held_by
from peer.types import Digest

_NEAR_ROUNDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One side of a fork. first_*: of its first manifest after the common ancestor. score: of its head.

    decided: more than half of the ancestor's roster stands behind the first manifest. unwelcome: it holds work that
    this peer does not take, or begins with far too little, and no majority stands behind that.
    """

    first_digest: Digest
    first_view: int
    decided: bool
    score: int
    unwelcome: bool = False


def prefer(challenger: Branch, current: Branch, *, bound: Callable[[], bool]) -> bool:
    """Return whether to leave `current` for `challenger`. bound: tells whether rule 3 holds this peer back."""
    if current.decided != challenger.decided:
        return challenger.decided
    if current.unwelcome != challenger.unwelcome:
        return current.unwelcome and not bound()
    return _of_branch(challenger) < _of_branch(current) and not bound()


def outranks(theirs: Entry, ours: Entry) -> bool:
    """Return whether to give up our chain for one that shares no known ancestor with it (docs/adr/0069).

    1. Far from a tie the higher score wins.
    2. Near one, two chains that grow at the same pace would swap the lead for ever. So take the lowest peer id of whose
       work they hold different amounts: the chain that holds more of it wins.
    3. Of two alike in that, as rivals for the last round of a run may be, the one wins that would win as a branch.

    Why rule 2 comes to rest: the order is total, and a chain wins over what it builds on. The lowest of the peers that
    are apart stays where it is, as no other chain holds more of its work than its own.
    """
    zone = _NEAR_ROUNDS * max(len(ours.roster), len(theirs.roster))
    if is_near((theirs.round, theirs.score), (ours.round, ours.score), zone=zone):
        they_hold, we_hold = held_by(theirs.roster, theirs.departed), held_by(ours.roster, ours.departed)
        for peer in sorted(they_hold.keys() | we_hold.keys()):
            if they_hold.get(peer, 0) != we_hold.get(peer, 0):
                return they_hold.get(peer, 0) > we_hold.get(peer, 0)
    return _rank(theirs.score, theirs.view, theirs.digest) < _rank(ours.score, ours.view, ours.digest)


def is_near(theirs: tuple[int, int], ours: tuple[int, int], *, zone: int) -> bool:
    """Return whether two (round, score) are close enough to overtake each other.

    zone: what a full roster adds in some rounds. The rounds must be close too: a peer that comes back with an old state
    must never drag the swarm back there.
    """
    return abs(theirs[0] - ours[0]) <= _NEAR_ROUNDS and abs(theirs[1] - ours[1]) <= zone


def is_plainly_behind(theirs: int, ours: Entry, *, history: int) -> bool:
    """Return whether a chain of the score `theirs` is too far behind to overtake ours, even while the two meet.

    So it is when it lacks more than a full roster adds in as many rounds as are kept.
    """
    return theirs + history * len(ours.roster) < ours.score


def _of_branch(branch: Branch) -> tuple[int, int, bytes]:
    return _rank(branch.score, branch.first_view, branch.first_digest)


def _rank(score: int, view: int, digest: Digest) -> tuple[int, int, bytes]:
    """Return rule 4 as a value: the lower, the better."""
    return -score, view, digest
