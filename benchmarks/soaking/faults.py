"""What happens to the peers of a soak: a plan of kills, stops, pauses and returns, drawn from a seed."""

import random
import signal
from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.soaking.peer_process import SoakedPeer

_KINDS = (("kill", 0.55), ("stop", 0.2), ("pause", 0.25))
_PAUSE_S = (5.0, 30.0)
_DOWN_S = (2.0, 60.0)
_NEWCOMERS = 0.25
"""Share of the returns that are those of a newcomer: identity and state are lost."""


class Faults:
    """Harms `victims` at random times, `every_s` apart in the mean; at most half of them are down at once."""

    def __init__(self, victims: Sequence[SoakedPeer], *, rng: random.Random, every_s: float) -> None:
        self.done: Counter[str] = Counter()
        self._victims = victims
        self._rng = rng
        self._every_s = every_s
        self._next = 0.0
        self._later: list[tuple[float, Callable[[], None]]] = []

    def begin(self, now: float) -> None:
        self._next = now + self._rng.expovariate(1 / self._every_s)

    def act(self, now: float) -> None:
        """Do what is due at `now`."""
        for due, action in [entry for entry in self._later if entry[0] <= now]:
            self._later.remove((due, action))
            action()
        if now >= self._next:
            self._next = now + self._rng.expovariate(1 / self._every_s)
            self._harm(now)

    def _harm(self, now: float) -> None:
        healthy = [victim for victim in self._victims if victim.running and not victim.paused]
        if len(healthy) <= len(self._victims) // 2:
            return
        victim = self._rng.choice(healthy)
        kind = self._rng.choices([kind for kind, _ in _KINDS], [weight for _, weight in _KINDS])[0]
        self.done[kind] += 1
        if kind == "pause":
            victim.pause()
            self._later.append((now + self._rng.uniform(*_PAUSE_S), victim.resume))
            return
        victim.end(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
        newcomer = self._rng.random() < _NEWCOMERS
        self._later.append((now + self._rng.uniform(*_DOWN_S), lambda: self._return(victim, newcomer=newcomer)))

    def _return(self, victim: SoakedPeer, *, newcomer: bool) -> None:
        if newcomer:
            victim.forget()
        self.done["return as a newcomer" if newcomer else "return as itself"] += 1
        victim.start()
