"""How long to wait for the answers of each peer: longer for one whose answers have been late.

A peer that is short of CPU time answers in its own time. Whoever gives up after a fixed time and asks again has the
work done twice and hears nothing; whoever waits longer from one failure to the next is answered in the end.
"""

from collections.abc import Collection

from peer.types import PeerId, Seconds

MOST_S: Seconds = 40.0
"""By then a peer that does not answer at all has been given up by the failure detector several times over."""

_SPARE = 3.0
"""An answer may take so many times as long as the last one did."""


class Patience:
    """How long to wait for the answer of each peer.

    least_s: for a peer that answers in time, or of which nothing is known.
    """

    def __init__(self, *, least_s: Seconds) -> None:
        self._least_s = least_s
        self._waits: dict[PeerId, Seconds] = {}

    def of(self, peer: PeerId) -> Seconds:
        return self._waits.get(peer, self._least_s)

    def answered(self, peer: PeerId, took_s: Seconds) -> None:
        wait_s = min(MOST_S, _SPARE * took_s)
        if wait_s > self._least_s:
            self._waits[peer] = wait_s
        else:
            self._waits.pop(peer, None)

    def late(self, peer: PeerId) -> None:
        """Note that `of(peer)` has passed without an answer."""
        self._waits[peer] = min(MOST_S, 2.0 * self.of(peer))

    def keep(self, peers: Collection[PeerId]) -> None:
        """Forget all others."""
        self._waits = {peer: wait_s for peer, wait_s in self._waits.items() if peer in peers}
