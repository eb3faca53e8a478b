"""The network: how long each message takes, whom it reaches, and how many bytes that costs.

Gossip is modelled after peer/network/gossip.py: its publisher hands a message to everybody that it is connected to, and
in a crowd each peer passes it on to four others; who is how many hops away is drawn for every message. `loss` is the
probability that it does not come to a peer at all: lazy pull, which would make up for it a second later, is left out,
which is worse than life. Requests are one hop; either way may be lost.
"""

import numpy as np
import numpy.typing as npt

from peer.network.gossip import CROWD, CROWD_FANOUT
from peer.types import Seconds

CONNECTIONS = 64
"""As `network.max_connections` by default."""

_FRAME_BYTES = 35
"""Around a message: the headers of gossip (5) and of the muxer (12), length and tag of the encryption (18)."""


class Post:
    """Delays, losses and the bytes sent and received by each peer. All randomness of the network is drawn here."""

    def __init__(self, peers: int, *, seed: int, loss: float, latency_s: Seconds, jitter: float) -> None:
        self._rng = np.random.default_rng([seed, 0x90])
        self._loss = loss
        self._latency_s = latency_s
        self._jitter = jitter
        self._hops = _hops(peers)
        self.group: npt.NDArray[np.int32] = np.zeros(peers, np.int32)
        """Peers of different groups cannot reach each other."""
        self.sent_bytes: npt.NDArray[np.float64] = np.zeros(peers)
        self.lost = 0

    def delay(self) -> Seconds:
        """Draw the delay of one message over one link."""
        return self._latency_s * float(np.exp(self._jitter * self._rng.standard_normal()))

    def passes(self, sender: int, receiver: int, size: int) -> bool:
        """Send a message over one link; return whether it arrives."""
        if self.group[sender] != self.group[receiver]:
            return False
        self.sent_bytes[sender] += size
        if self._loss and self._rng.random() < self._loss:
            self.lost += 1
            return False
        return True

    def gossip(
        self, sender: int, alive: npt.NDArray[np.bool_], size: int
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Send a message to everybody alive in the sender's group; return (receivers, delays in s), unsorted."""
        reached = alive & (self.group == self.group[sender])
        reached[sender] = False
        receivers = np.flatnonzero(reached)
        self._charge(sender, receivers, size + _FRAME_BYTES)
        receivers = self._arriving(receivers)
        return receivers, self._delays(receivers.size)

    def hand(
        self, sender: int, receivers: npt.NDArray[np.intp], size: int
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Send a message to some peers over one link each; return (whom it comes to, delays in s)."""
        receivers = receivers[self.group[receivers] == self.group[sender]]
        self.sent_bytes[sender] += size * receivers.size
        receivers = self._arriving(receivers)
        return receivers, self._latency_s * np.exp(self._jitter * self._rng.standard_normal(receivers.size))

    def _arriving(self, receivers: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        if not self._loss:
            return receivers
        arrives = self._rng.random(receivers.size) >= self._loss
        self.lost += int(receivers.size - arrives.sum())
        return receivers[arrives]

    def _delays(self, count: int) -> npt.NDArray[np.float64]:
        """Draw delays of several hops: all hops of a message to one peer share their luck."""
        if not count:
            return np.zeros(0)
        hops = self._hops[:count]
        if hops[-1] > 1:
            hops = self._rng.permutation(hops)
        return self._latency_s * hops * np.exp(self._jitter * self._rng.standard_normal(count))

    def _charge(self, sender: int, receivers: npt.NDArray[np.intp], size: int) -> None:
        """The publisher sends to all its neighbours; in a crowd each receiver passes the message on."""
        neighbours = min(CONNECTIONS, receivers.size)
        self.sent_bytes[sender] += size * neighbours
        if receivers.size >= CROWD:
            self.sent_bytes[receivers] += size * min(CROWD_FANOUT, receivers.size - 1)


def _hops(peers: int) -> npt.NDArray[np.float64]:
    """Return the hops to the nearest, second nearest, ... of the other peers."""
    hops: list[int] = []
    ring, distance = CONNECTIONS, 1
    while len(hops) < peers:
        hops += [distance] * ring
        ring, distance = ring * CROWD_FANOUT, distance + 1
    return np.asarray(hops[:peers], np.float64)
