"""What follows from the roster after a round alone: looked up many times a round, so worked out once."""

import hashlib
from collections.abc import Set
from functools import cached_property

import msgspec

from peer.rounds.departed import Departed
from peer.rounds.grouping import Grouping
from peer.rounds.roster import Roster, peers_of, seal_order
from peer.rounds.rules import RoundRules
from peer.types import Digest, PeerId


class Standing:
    """Of one manifest. Nothing in it changes, so machines of one process may share it.

    digest: of the manifest. roster, departed: after it.
    """

    def __init__(self, digest: Digest, roster: Roster, departed: Departed, rules: RoundRules) -> None:
        self._digest = digest
        self._roster = roster
        self._departed = departed
        self._rules = rules
        self._num_known: int | None = None

    def follows(self, rules: RoundRules) -> bool:
        """Return whether this was worked out by `rules`."""
        return self._rules is rules or self._rules == rules

    @cached_property
    def members(self) -> frozenset[PeerId]:
        return peers_of(self._roster)

    @cached_property
    def held(self) -> dict[PeerId, int]:
        """The sequence up to which the chain holds the work of each peer that it knows."""
        return held_by(self._roster, self._departed)

    @cached_property
    def missed(self) -> dict[PeerId, int]:
        """The rounds in a row that each member has missed."""
        return {PeerId(entry.peer): entry.missed for entry in self._roster}

    @cached_property
    def in_time(self) -> frozenset[PeerId]:
        """The members that missed nothing in the last round."""
        return frozenset(PeerId(entry.peer) for entry in self._roster if entry.missed == 0)

    @cached_property
    def known(self) -> Set[PeerId]:
        """Whom the chain names, members and the last that have left; in a large swarm the next round's contributors."""
        return self.held.keys() if self.grouping is None else self.grouping.contributors

    def num_admitted(self, before: "Standing") -> int:
        """Return of how many of the peers known before this manifest it counts the work.

        before: of the manifest that it builds on.
        """
        if self._num_known is None:
            self._num_known = len(self.in_time & before.known)
        return self._num_known

    @cached_property
    def left(self) -> dict[PeerId, int]:
        """The round in which each peer that has left the roster was last admitted."""
        return {PeerId(entry.peer): entry.round for entry in self._departed}

    @cached_property
    def line(self) -> list[PeerId]:
        """The members in the order in which they seal the next round."""
        return seal_order(self._digest, self.members)

    @cached_property
    def ranks(self) -> dict[PeerId, int]:
        return {peer: rank for rank, peer in enumerate(self.line)}

    @cached_property
    def electors(self) -> frozenset[PeerId]:
        """Who decides that a manifest on this one is final: all members, in a large swarm those drawn by the digest."""
        if self.grouping is None:
            return self.members
        return frozenset(self.line[: self._rules.max_electors])

    @cached_property
    def grouping(self) -> Grouping | None:
        """The groups of the next round; None while the swarm is small enough to go without."""
        if len(self._roster) <= self._rules.flat_peers:
            return None
        return Grouping(self._digest, self.line, self._rules)


def held_by(roster: Roster, departed: Departed) -> dict[PeerId, int]:
    """Return the sequence up to which a chain holds the work of each peer that it knows."""
    held = {PeerId(entry.peer): entry.sequence for entry in departed}
    for member in roster:
        known = held.get(PeerId(member.peer), 0)
        held[PeerId(member.peer)] = max(member.sequence, known)
    return held


def standing_hash(roster: Roster, departed: Departed, horizon: int) -> Digest:
    """Return the hash by which a top manifest names what is too long for it."""
    return Digest(hashlib.sha256(encode_standing(roster, departed, horizon)).digest())


def encode_standing(roster: Roster, departed: Departed, horizon: int) -> bytes:
    return msgspec.msgpack.encode((roster, departed, horizon))
