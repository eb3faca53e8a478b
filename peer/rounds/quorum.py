"""Mode `strict`: only a majority goes on, so that two sides of a partition never both do.

Source: Jajodia & Mutchler 1990, "Dynamic Voting Algorithms for Maintaining the Consistency of a Replicated Database":
the majority is counted among those that took part last, and exactly half wins if it holds the distinguished site.
"""

from collections.abc import Collection

from peer.types import PeerId

AVAILABLE = "available"
STRICT = "strict"


def is_quorum(members: frozenset[PeerId], peers: Collection[PeerId]) -> bool:
    """Return whether `peers` are more than half of the members of a roster, or exactly half with its lowest peer id.

    Anybody may seal where there is no roster yet.
    """
    inside = members.intersection(peers)
    if not members or 2 * len(inside) > len(members):
        return True
    return 2 * len(inside) == len(members) and min(members) in inside
