"""Share tasks out over the roster by weighted rendezvous hashing; every peer computes the same answer alone.

Each (task, peer) pair has a hash h, uniform in (0, 1]. The owner of a task is the peer with the highest score
-w / ln(h), where w is its weight: a peer owns a task with probability w / sum of all w, and when a peer comes or
goes, only tasks that it gains or loses change hands.
Source: Schindelhauer & Schomaker 2005, "Weighted Distributed Hash Tables", logarithmic method; the form with
-w / ln(h) is Resch's "New Hashing Algorithms for Data Storage" (SDC 2015).

Departure: `log` differs in its last bit between C libraries, and one differing bit would split the swarm's view
of who owns what. So the logarithm is taken in integers, and the reciprocal score -log2(h) * 2^64 // w is an integer
too: lowest wins, equal ones go by name. The base of the logarithm cancels.
"""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from peer.tasks.log2 import negative_log2
from peer.types import PeerId

_HASH_BITS = 64
_SCALE_BITS = 64
_CACHED_PAIRS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Who does one task. backup: next in line, None when nobody else is there. helpers: peers that own nothing."""

    task: str
    owner: PeerId
    backup: PeerId | None
    helpers: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who does which task. shares: one a task, sorted by task. roster: the peers that were considered, sorted."""

    shares: tuple[Share, ...]
    roster: tuple[PeerId, ...]

    def owned_by(self, peer: PeerId) -> tuple[str, ...]:
        return tuple(share.task for share in self.shares if share.owner == peer)

    def tasks_of(self, peer: PeerId) -> tuple[str, ...]:
        """Return what `peer` works on: the tasks it owns, else the one it helps with; empty for a stranger."""
        return self.owned_by(peer) or tuple(share.task for share in self.shares if peer in share.helpers)

    def is_helper(self, peer: PeerId) -> bool:
        return any(peer in share.helpers for share in self.shares)


def assign(tasks: Iterable[str], roster: Sequence[tuple[PeerId, int]]) -> Assignment:
    """Return owner, backup and helpers of every task. Order of `tasks` and `roster` does not matter.

    roster: (peer, weight); a weight is any whole number proportional to speed, and counts as at least 1.
    A peer that owns nothing helps with one task: that of its own best hash, which does not depend on the others.
    Raises: ValueError when there is no task or no peer, a peer or task is listed twice, or a weight is negative.
    Cost: O(tasks * peers); hashes are remembered.
    """
    names = sorted(tasks)
    members = sorted(roster)
    _check(names, members)
    ranked = {task: rank(task, members) for task in names}
    owners = {order[0] for order in ranked.values()}
    helping = {peer: _best_task(peer, names) for peer, _ in members if peer not in owners}
    shares = tuple(
        Share(
            task=task,
            owner=order[0],
            backup=order[1] if len(order) > 1 else None,
            helpers=tuple(peer for peer, helped in helping.items() if helped == task),
        )
        for task, order in ranked.items()
    )
    return Assignment(shares=shares, roster=tuple(peer for peer, _ in members))


def rank(task: str, roster: Iterable[tuple[PeerId, int]]) -> list[PeerId]:
    """Return the peers in line for `task`: owner first, then its backups."""
    return [peer for _, peer in sorted((_cost(task, peer, weight), peer) for peer, weight in roster)]


def weight_class(steps_per_s: int) -> int:
    """Round a measured speed down to a power of two.

    A raw measurement changes a little every round, and with each change a few tasks would move for nothing;
    within a factor of two, nothing moves.
    """
    return 1 << max(steps_per_s.bit_length() - 1, 0)


@functools.lru_cache(maxsize=_CACHED_PAIRS)
def distance(task: str, peer: PeerId) -> int:
    """Return -log2(h) of the pair's hash, fixed point; the weighted score is weight / distance."""
    text = b"murmuration task 1\0" + task.encode() + b"\0" + peer.encode()
    value = int.from_bytes(hashlib.sha256(text).digest()[: _HASH_BITS // 8])
    return negative_log2(value + 1, bits=_HASH_BITS)


def _cost(task: str, peer: PeerId, weight: int) -> int:
    return (distance(task, peer) << _SCALE_BITS) // max(weight, 1)


def _best_task(peer: PeerId, tasks: Sequence[str]) -> str:
    return min(tasks, key=lambda task: (distance(task, peer), task))


def _check(tasks: Sequence[str], roster: Sequence[tuple[PeerId, int]]) -> None:
    if not tasks or not roster:
        raise ValueError(f"an assignment needs tasks and peers, got {len(tasks)} tasks and {len(roster)} peers")
    if len(set(tasks)) != len(tasks):
        raise ValueError("a task is listed twice")
    if len({peer for peer, _ in roster}) != len(roster):
        raise ValueError("a peer is listed twice in the roster")
    for peer, weight in roster:
        if weight < 0:
            raise ValueError(f"weight of {peer} must be 0 or more, got {weight}")
