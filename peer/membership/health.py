"""How well this peer itself runs: a slow one must not take others for dead.

Source: Dadgar et al. 2017, "Lifeguard: Local Health Awareness for More Accurate Failure Detection", section IV-A.
Departures: late timers of the own event loop count, which is what a trainer at full CPU has first; and the score
falls with punctual time as well as with answers, because members that are heard anyway are not asked.
"""

from peer.membership.timing import MAX_SCORE
from peer.types import Seconds

RECOVERY_S: Seconds = 1.0
"""Punctual time that takes one off the score."""


class LocalHealth:
    """How badly this peer has answered for itself lately.

    score: 0 (well) to MAX_SCORE. Every wait for others is longer by the factor `multiplier`.
    """

    def __init__(self) -> None:
        self.score = 0
        self._punctual_s: Seconds = 0.0

    @property
    def multiplier(self) -> int:
        return 1 + self.score

    def worse(self, by: int = 1) -> None:
        self.score = min(MAX_SCORE, self.score + by)
        self._punctual_s = 0.0

    def better(self) -> None:
        self.score = max(0, self.score - 1)

    def punctual(self, elapsed_s: Seconds) -> None:
        """Note that the last look at the clock was in time, `elapsed_s` after the one before."""
        self._punctual_s += elapsed_s
        while self._punctual_s >= RECOVERY_S:
            self._punctual_s -= RECOVERY_S
            self.better()
