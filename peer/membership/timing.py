"""The times of failure detection, and the length of a suspicion."""

import math
from dataclasses import dataclass

from peer.types import Seconds

MAX_SCORE = 8
"""Of local health; Dadgar et al. 2017, section IV-A, table II."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The defaults give a dead peer up within 8 s: 1.5 + 0.25 + 2 + 1.5 s to the suspicion, 2 s to the verdict.

    tick_s: between two looks at the clock. quiet_s: a member of which nothing came for so long is asked; others are
    not, their bytes are sign enough. direct_s: for its own answer; 4 times the pause that libp2p's ping needed on two
    overloaded cores (0.5 s). indirect_s: for that of `helpers` others who ask it; 3 is SWIM's k. suspect_min_s: of a
    suspicion that `confirmations` others share, or that nobody could share: time for two more questions.
    suspect_max_s: of one that nobody shares; three times the least, half of memberlist's ratio, because members that
    are not suspected are asked all the time. held_up_s: a look that is later says that this process did not run.
    spread_s: between two messages that are sent for the sake of statements alone.
    """

    tick_s: Seconds = 0.25
    quiet_s: Seconds = 1.5
    direct_s: Seconds = 2.0
    indirect_s: Seconds = 1.5
    suspect_min_s: Seconds = 2.0
    suspect_max_s: Seconds = 6.0
    held_up_s: Seconds = 0.25
    spread_s: Seconds = 0.5
    helpers: int = 3
    confirmations: int = 3


def suspicion_s(confirmed: int, *, expected: int, timing: Timing) -> Seconds:
    """Return how long a suspicion lasts that `confirmed` others share, of the `expected` that would end it soonest.

    max(min, max - (max - min) log(confirmed + 1) / log(expected + 1)): Dadgar et al. 2017, section IV-B. With nobody
    to expect anything from, the least.
    """
    if expected <= 0:
        return timing.suspect_min_s
    share = math.log(confirmed + 1) / math.log(expected + 1)
    span = timing.suspect_max_s - timing.suspect_min_s
    return max(timing.suspect_min_s, timing.suspect_max_s - span * share)


def expected_confirmations(members: int, *, timing: Timing) -> int:
    """Return how many others could share a suspicion. members: without this peer, the suspect included."""
    return max(0, min(timing.confirmations, members - 1))
