"""When a peer may seal the round, as arithmetic on its own monotonic clock."""

from dataclasses import dataclass

from peer.rounds.rules import RoundRules
from peer.types import Seconds

_MAX_GAPS = 16
"""Backups beyond this rank step in together; a swarm that lost its first 16 sealers has worse troubles than rivals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingView:
    """What one peer sees of the round in progress.

    opened_at: when it began here. complete_since: when the last expected header came in, None while one is missing.
    candidates: headers that could be admitted now. expected: peers worth waiting for, this one included.
    backups_before: reachable peers whose turn comes earlier. first_in_turn: nobody comes earlier, reachable or not.
    outsider: this peer is not on the roster, and somebody who is can be reached.
    """

    opened_at: Seconds
    complete_since: Seconds | None
    candidates: int
    expected: int
    backups_before: int
    first_in_turn: bool
    outsider: bool


def seal_time(view: SealingView, rules: RoundRules) -> Seconds | None:
    """Return the time at which this peer should seal, or None while it has nothing to seal.

    All expected headers in: at once. Else at the deadline with half of them, else one grace period later with any:
    going on with few beats waiting for ever (DESIGN section 4, mode `available`). The k-th backup adds k gaps; a peer
    that is not first in turn adds at least one, since only it may think that the others are gone. An outsider leaves
    sealing to the roster, until that has failed to for two grace periods past the deadline.
    """
    if view.candidates == 0:
        return None
    gaps = 0 if view.first_in_turn else min(max(1, view.backups_before), _MAX_GAPS)
    ready = _deadline(view, rules) + 2 * rules.grace_s if view.outsider else _ready_time(view, rules)
    return ready + gaps * rules.backup_gap_s


def _ready_time(view: SealingView, rules: RoundRules) -> Seconds:
    if view.complete_since is not None:
        return view.complete_since
    enough = 2 * view.candidates >= view.expected
    return _deadline(view, rules) + (0.0 if enough else rules.grace_s)


def _deadline(view: SealingView, rules: RoundRules) -> Seconds:
    return view.opened_at + rules.train_s + rules.grace_s
