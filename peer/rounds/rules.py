"""The numbers that the round protocol runs by. Those marked (agreed) must be equal on all peers."""

from dataclasses import dataclass

from peer.rounds.merging import BY_MAJORITY
from peer.rounds.quorum import AVAILABLE
from peer.types import Seconds

_SECOND_ROUND_SHARE = 0.25
"""The first manifest is final with its successor only, as there was no roster before it, so whoever waits for a common
model waits for both rounds (docs/adr/0056)."""


def training_share(round_number: int) -> float:
    """Return the part of a round's training time that this round is trained for."""
    return _SECOND_ROUND_SHARE if round_number == 2 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRules:
    """miss_limit (agreed): rounds in a row that a member may miss before it leaves the roster.

    history: rounds of manifests, payloads and states kept for replay, for serving others, and for training upon own
    late work; above miss_limit. by_steps: rounds end by env steps, so that nobody can tell when, and the deadline
    counts from when half of the deltas are in. partition (agreed): `available` or `strict`, see quorum.py. merge
    (agreed): `score` or `majority`, see merging.py. stop_* (agreed): None means never. stop_return: greedy return
    that ends the run.

    flat_peers (agreed): the largest roster whose members are sealed one by one; above, in groups of about `group_peers`
    (agreed), which grow above 64 groups. grouped_peers (agreed): the largest roster that contributes whole; of a
    larger one, `committee_peers` (agreed) are drawn for each round. max_electors (agreed): voters of a large swarm.
    """

    train_s: Seconds = 2.0
    grace_s: Seconds = 3.0
    backup_gap_s: Seconds = 0.5
    miss_limit: int = 2
    history: int = 6
    by_steps: bool = False
    partition: str = AVAILABLE
    merge: str = BY_MAJORITY
    stop_return: float | None = None
    stop_rounds: int | None = None
    flat_peers: int = 48
    group_peers: int = 24
    grouped_peers: int = 2048
    committee_peers: int = 1536
    max_electors: int = 64
