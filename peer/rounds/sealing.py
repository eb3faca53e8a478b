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
    half_since: when half of the expected were in, None before. candidates: headers that could be admitted now.
    expected: peers worth waiting for, this one included. before: peers whose turn comes earlier; reachable_before:
    those of them that can be reached. outsider: this peer is not on the roster, and somebody who is can be reached.
    """

    opened_at: Seconds
    complete_since: Seconds | None
    half_since: Seconds | None
    candidates: int
    expected: int
    before: int
    reachable_before: int
    outsider: bool


def seal_time(view: SealingView, rules: RoundRules) -> Seconds | None:
    """Return the time at which this peer should seal, or None while it has nothing to seal.

    All expected headers in: at once. Else at the deadline with half of them, else one grace period later with any:
    going on with few beats waiting for ever (docs/adr/0003, mode `available`). Everybody in line before this peer adds
    a gap, the unreachable ones together one, since only this peer may think that they are gone. An outsider leaves
    sealing to the roster, until that has failed to for two grace periods past the deadline.
    """
    if view.candidates == 0:
        return None
    gaps = min(view.reachable_before + (view.reachable_before < view.before), _MAX_GAPS)
    late = deadline(view.opened_at, view.half_since, rules) + 2 * rules.grace_s
    ready = late if view.outsider else _ready_time(view, rules)
    return ready + gaps * rules.backup_gap_s


def deadline(opened_at: Seconds, half_since: Seconds | None, rules: RoundRules) -> Seconds:
    """Return when a round need wait for nobody any more, with half of the expected deltas.

    Peers that train by steps are done when they are done: the slower half gets the grace period after the faster.
    """
    done = opened_at + rules.train_s
    if rules.by_steps and half_since is not None:
        done = min(done, half_since)
    return done + rules.grace_s


def last_turn(deadline_at: Seconds, *, members: int, rules: RoundRules) -> Seconds:
    """Return when the last of so many members would have sealed, with any delta at all."""
    return deadline_at + rules.grace_s + min(members, _MAX_GAPS) * rules.backup_gap_s


def _ready_time(view: SealingView, rules: RoundRules) -> Seconds:
    if view.complete_since is not None:
        return view.complete_since
    enough = 2 * view.candidates >= view.expected
    return deadline(view.opened_at, view.half_since, rules) + (0.0 if enough else rules.grace_s)
