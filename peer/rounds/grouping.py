"""Who works with whom in the next round of a large swarm: a pure function of a manifest's digest and its roster.

The contributors stand in the order in which they would seal (roster.py), and are dealt out to the groups one by one, so
that groups differ by one member at most and nobody can choose its own: the digest is not known before the round is
sealed. Whoever is not on the roster belongs to the group that its own hash names (docs/adr/0035).
"""

import hashlib
from collections.abc import Collection, Sequence

from peer.rounds.rules import RoundRules
from peer.types import Digest, PeerId
from peer.wire.limits import MAX_GROUPS

_MAX_TICKETS = 32_768


def num_rows(peers: int, rules: RoundRules) -> int:
    """Return how many deltas a manifest averages for a roster of that size: those of its peers, or of its groups."""
    if peers <= rules.flat_peers:
        return peers
    contributors = peers if peers <= rules.grouped_peers else min(peers, rules.committee_peers)
    return min(MAX_GROUPS, -(-contributors // rules.group_peers))


class Grouping:
    """The groups of one round.

    groups: by group the contributors on the roster, in the order in which they seal for it.

    idle: members that have not been drawn to contribute.
    """

    def __init__(self, digest: Digest, line: Sequence[PeerId], rules: RoundRules) -> None:
        """line: the roster in the order in which it seals."""
        contributors = line if len(line) <= rules.grouped_peers else line[: rules.committee_peers]
        count = min(MAX_GROUPS, -(-len(contributors) // rules.group_peers))
        self._digest = digest
        self.groups: tuple[tuple[PeerId, ...], ...] = tuple(tuple(contributors[start::count]) for start in range(count))
        self._places = {peer: (place % count, place // count) for place, peer in enumerate(contributors)}
        self._tickets: dict[PeerId, bytes] = {}
        self.contributors: frozenset[PeerId] = frozenset(contributors)
        """The members whose work this round is for; a committee of the roster where that is very large."""
        self.idle: frozenset[PeerId] = frozenset(line[len(contributors) :])

    def group_of(self, peer: PeerId) -> int:
        """Return the group of a contributor, or of one who is not on the roster."""
        place = self._places.get(peer)
        return place[0] if place else int.from_bytes(self._ticket(peer)[:8]) % len(self.groups)

    def rank_of(self, peer: PeerId) -> int | None:
        """Return a peer's place among those who seal for its group; None: it does not seal for one.

        Who is not on the roster comes after all who are (docs/adr/0055).
        """
        place = self._places.get(peer)
        if place is not None:
            return place[1]
        return None if peer in self.idle else len(self.groups[self.group_of(peer)])

    def in_turn(self, peers: Collection[PeerId], *, group: int) -> list[PeerId]:
        """Return those of `peers` that belong to a group: contributors in their order, then strangers by hash."""
        mine = [peer for peer in peers if peer not in self.idle and self.group_of(peer) == group]
        members = sorted((peer for peer in mine if peer in self._places), key=lambda peer: self._places[peer][1])
        strangers = [peer for peer in mine if peer not in self._places]
        return members + sorted(strangers, key=self._ticket)

    def _ticket(self, stranger: PeerId) -> bytes:
        ticket = self._tickets.get(stranger)
        if ticket is None:
            if len(self._tickets) >= _MAX_TICKETS:
                self._tickets.clear()
            ticket = self._tickets[stranger] = hashlib.sha256(self._digest + stranger.encode()).digest()
        return ticket
