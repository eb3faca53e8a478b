"""How long a peer trains before it announces: by time or by env steps, and earlier when the seal does not wait for it.

Announcing early costs no training: the trainer goes on while the round is sealed (docs/adr/0027).
"""

from peer.rounds.entry import Entry
from peer.rounds.rules import training_share
from peer.types import PeerId, Seconds

_OUTSIDER_SHARE = 0.5
"""Part of a round that a peer trains for while it is not on the roster: nobody waits for its delta, so it must come
before the members' own. A joiner that catches up in the first half of a round is admitted in that very round."""

_SMALLEST_SHARE = 0.25
_RECOVERY = 0.125
"""Added to the share after each seal that was met: slower than it falls, or a late peer would miss every other one."""

_SLICE_S = 0.5
"""How long a round that was replaced may go unnoticed by the trainer."""

_SHORTEST_SLICE_S = 0.05
"""Less than this is not worth starting a slice for."""


class Pace:
    """The length of this peer's rounds. env_steps: where rounds end by steps; train_s ends them too, then."""

    def __init__(self, me: PeerId, *, train_s: Seconds, env_steps: int | None) -> None:
        self._me = me
        self._train_s = train_s
        self._env_steps = env_steps
        self._share = 1.0
        self._outside = False
        self._part = 1.0

    def note(self, base: Entry) -> None:
        """Look at the sealed round that the next one builds on: whether this peer's delta was in time for it."""
        missed = base.missed_by(self._me)
        self._outside = bool(base.roster) and missed is None
        self._part = training_share(base.round + 1)
        if missed is None:
            return
        self._share = max(_SMALLEST_SHARE, self._share / 2) if missed else min(1.0, self._share + _RECOVERY)

    @property
    def seconds(self) -> Seconds:
        """Return how long to train for at most before announcing."""
        return self._train_s * self._current_share

    def slice_s(self, *, left_s: Seconds, env_steps: int, steps_per_s: float) -> Seconds:
        """Return the length of the next slice. env_steps: trained in this round, at `steps_per_s` (0: not known)."""
        slice_s = min(_SLICE_S, max(left_s, _SHORTEST_SLICE_S))
        if self._env_steps is None or steps_per_s <= 0:
            return slice_s
        wanted = (self._env_steps * self._current_share - env_steps) / steps_per_s
        return min(slice_s, max(wanted, _SHORTEST_SLICE_S))

    def is_over(self, *, left_s: Seconds, env_steps: int) -> bool:
        by_steps = self._env_steps is not None and env_steps >= self._env_steps * self._current_share
        return by_steps or left_s < _SHORTEST_SLICE_S / 2

    @property
    def _current_share(self) -> float:
        return self._part * (_OUTSIDER_SHARE if self._outside else self._share)
