"""Share tasks out over the roster by weighted rendezvous hashing with even loads; every peer computes the same alone.

Each (task, peer) pair has a hash h, uniform in (0, 1], and the score -w / ln(h), where w is the peer's weight. By
scores alone a peer would own a task with probability w / sum of all w, and when a peer comes or goes, only tasks that
it gains or loses would change hands; but of 4 tasks on 2 equal peers one would own all in every eighth swarm, and the
model learn one task five times as much as the others. So a share is also bounded from both sides, by the peer's part
of all weights: the highest score of all pairs that are left decides, first until everybody has the least that is due
to it, then up to the most. A few more tasks change hands for that: mostly none, of 64 tasks on 8 peers three.
Sources: Schindelhauer & Schomaker 2005, "Weighted Distributed Hash Tables", logarithmic method; the form with
-w / ln(h) is Resch's "New Hashing Algorithms for Data Storage" (SDC 2015); Mirrokni, Thorup & Zadimoghaddam 2018,
"Consistent Hashing with Bounded Loads", who bound one side and go task by task, where the order of tasks decides.

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
    """Who does one task. helpers: peers that own nothing."""

    task: str
    owner: PeerId
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
    """Return owner and helpers of every task. Order of `tasks` and `roster` does not matter.

    roster: (peer, weight); a weight is any whole number proportional to speed, and counts as at least 1.
    A peer that owns nothing helps with one task: that of its own best hash, which does not depend on the others.
    Raises: ValueError when there is no task or no peer, a peer or task is listed twice, or a weight is negative.
    Cost: O(n log n) for n = tasks * peers; hashes are remembered.
    """
    names = sorted(tasks)
    members = sorted(roster)
    _check(names, members)
    owner_of = _owners(names, members)
    owning = set(owner_of.values())
    helping = {peer: _best_task(peer, names) for peer, _ in members if peer not in owning}
    shares = tuple(
        Share(
            task=task,
            owner=owner_of[task],
            helpers=tuple(peer for peer, helped in helping.items() if helped == task),
        )
        for task in names
    )
    return Assignment(shares=shares, roster=tuple(peer for peer, _ in members))


def fair_share(num_tasks: int, weight: int, total: int) -> tuple[int, int]:
    """Return how many tasks a peer owns at least and at most that has `weight` of the `total` weight.

    That is its exact share, rounded down and up, and with four tasks or more a quarter beside it: bounds without any
    slack would have more tasks change hands, and of many tasks the hashes give everybody about as many by themselves.
    """
    exact = num_tasks * weight
    slack = exact // (4 * total)
    return exact // total - slack, -(-exact // total) + slack


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


def cost(task: str, peer: PeerId, weight: int) -> int:
    """Return the reciprocal of the pair's score: the lower, the better."""
    return (distance(task, peer) << _SCALE_BITS) // max(weight, 1)


def _owners(tasks: Sequence[str], members: Sequence[tuple[PeerId, int]]) -> dict[str, PeerId]:
    total = sum(max(weight, 1) for _, weight in members)
    shares = {peer: fair_share(len(tasks), max(weight, 1), total) for peer, weight in members}
    pairs = sorted((cost(task, peer, weight), task, peer) for task in tasks for peer, weight in members)
    owner_of: dict[str, PeerId] = {}
    owned = dict.fromkeys(shares, 0)
    for bound in (0, 1):  # the least of everybody, then the most
        for _, task, peer in pairs:
            if task not in owner_of and owned[peer] < shares[peer][bound]:
                owner_of[task] = peer
                owned[peer] += 1
    return owner_of


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
