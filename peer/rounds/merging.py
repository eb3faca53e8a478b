"""How a chain is judged with which this peer knows no common ancestor (docs/adr/0071, 0079, 0081). Pure."""

from collections.abc import Set
from dataclasses import dataclass

from peer.types import PeerId

BY_SCORE = "score"
BY_MAJORITY = "majority"
"""By the score alone, or first by how many stand behind it."""

YOUNG_ROUNDS = 16
"""Half a minute or more: whoever comes up that much later than the others does not lose a night's work to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two chains. backers: who stands behind it. others: who else can be reached that could stand behind it, or
    is on another chain. known: whom it names; None where its state is not here yet."""

    round: int
    score: int
    backers: frozenset[PeerId]
    others: Set[PeerId] = frozenset()
    known: Set[PeerId] | None = None


def verdict(theirs: Side, ours: Side) -> bool | None:
    """Return whether the other chain replaces ours whatever the scores, or does not; None: the scores decide."""
    if _is_elder(theirs, ours):
        return True
    if _is_elder(ours, theirs) or _withstands(ours, theirs):
        return False
    return True if _outnumbers(theirs, ours) else None


def _is_elder(one: Side, other: Side) -> bool:
    """Return whether `one` is that of strangers who trained for long before `other` began.

    A member that goes its own way is no stranger, nor is a newcomer that it takes along: a young chain still names all
    who were ever on it.
    """
    is_older = other.round <= YOUNG_ROUNDS < one.round and one.score > other.score
    if not (is_older and one.backers and other.known is not None):
        return False
    return other.known.isdisjoint(one.backers if one.known is None else one.backers | one.known)


def _outnumbers(one: Side, other: Side) -> bool:
    """Return whether most of all those whom both sides have stand behind `one`, and twice as many as behind the other.

    Most: in a swarm that is in many pieces, old votes would send peers from each to the next; there the scores decide.
    Twice: a vote that somebody has not heard of yet seldom makes two sides judge differently.
    """
    everybody = one.backers | other.backers | one.others | other.others
    return 2 * len(one.backers) > len(everybody) and len(one.backers) >= 2 * len(other.backers)


def _withstands(ours: Side, theirs: Side) -> bool:
    """Return whether twice as many stand behind our chain, be they most of all or not.

    Else, when two halves of a swarm meet, both would take a state that one peer made up. Whoever offers a state counts
    behind it, though it may have moved on by now.
    """
    return len(ours.backers) >= 2 * max(1, len(theirs.backers))
