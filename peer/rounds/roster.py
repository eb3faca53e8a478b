"""Who takes part, whose turn it is to seal, and how many make a majority."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from peer.types import Digest, PeerId
from peer.wire.messages import RosterEntry

Roster = tuple[RosterEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the roster keeps of an admitted header."""

    sequence: int
    steps_per_s: int


def next_roster(
    roster: Roster,
    admitted: Mapping[PeerId, Admission],
    *,
    miss_limit: int,
    idle: Collection[PeerId] = frozenset(),
) -> Roster:
    """Return the roster after a round, sorted by peer id.

    admitted: every peer whose delta was admitted; they are members with no misses, newcomers too. Others stay until
    they have missed `miss_limit` rounds in a row; `idle` ones were not asked to contribute, and miss nothing.
    """
    members = {peer: RosterEntry(peer, 0, new.steps_per_s, new.sequence) for peer, new in admitted.items()}
    for entry in roster:
        missed = entry.missed + (entry.peer not in idle)
        if entry.peer not in members and missed < miss_limit:
            members[PeerId(entry.peer)] = RosterEntry(entry.peer, missed, entry.steps_per_s, entry.sequence)
    return tuple(members[peer] for peer in sorted(members))


def peers_of(roster: Roster) -> frozenset[PeerId]:
    return frozenset(PeerId(entry.peer) for entry in roster)


def active_peers(roster: Roster) -> frozenset[PeerId]:
    """Return the members that took part in the last round: those worth waiting for."""
    return frozenset(PeerId(entry.peer) for entry in roster if entry.missed == 0)


def seal_order(previous: Digest, peers: Iterable[PeerId]) -> list[PeerId]:
    """Order `peers` by H(previous digest, peer id): index 0 seals, index k is the k-th backup."""
    return sorted(peers, key=lambda peer: hashlib.sha256(previous + peer.encode()).digest())


def majority(members: int) -> int:
    """Return the smallest number that is more than half of `members`."""
    return members // 2 + 1
