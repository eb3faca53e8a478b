"""Mail on its way, in bags: what arrives within a few milliseconds is handed over together, so that runs are fast."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from peer.rounds.machine import Mail
from peer.simulation.event_loop import EventLoop
from peer.types import Seconds

_CROWD_BAGS = 2
"""Among more peers than connections a hundred letters come to each in a round, after several hops. There a bag holds
the letters of this many ordinary ones, and is emptied before its last letter arrives: on average none is late."""


class MailBags:
    """hand_over: called with the number of a peer and all of its mail in one bag."""

    def __init__(
        self, loop: EventLoop, *, latency_s: Seconds, is_crowd: bool, hand_over: Callable[[int, list[Mail]], None]
    ) -> None:
        """latency_s: median delay of one hop. is_crowd: whether there are more peers than connections."""
        self._loop = loop
        self._hand_over = hand_over
        self._bags: dict[int, dict[int, list[Mail]]] = {}  # by the tick at which a bag is emptied, then by peer
        fine_s = min(max(latency_s / 2, 0.002), 0.05)
        self._tick_s = fine_s * (_CROWD_BAGS if is_crowd else 1)
        self._early_s = (self._tick_s - fine_s) / 2

    def put(self, mail: Mail, receivers: npt.NDArray[np.intp], delays: npt.NDArray[np.float64]) -> None:
        """Put mail into the bags of the moments at which it arrives. receivers: numbers; delays: theirs, in seconds."""
        now = self._loop.now
        ticks = np.ceil((now + delays - self._early_s) / self._tick_s)
        ticks = np.maximum(ticks, np.floor(now / self._tick_s) + 1).astype(np.int64)
        order = np.argsort(ticks, kind="stable")
        starts = np.flatnonzero(np.diff(ticks[order], prepend=-1))
        for start, end in zip(starts, np.append(starts[1:], order.size), strict=False):  # nobody: no starts
            bag = self._bag(int(ticks[order[start]]))
            for number in receivers[order[start:end]].tolist():
                bag.setdefault(number, []).append(mail)

    def _bag(self, tick: int) -> dict[int, list[Mail]]:
        if tick not in self._bags:
            self._bags[tick] = {}
            self._loop.at(tick * self._tick_s, lambda: self._empty(tick))
        return self._bags[tick]

    def _empty(self, tick: int) -> None:
        for number, mail in self._bags.pop(tick).items():
            self._hand_over(number, mail)
