"""How many dials a peer has under way at once: as many as get through.

Many peers that start together on one machine, each dialling all others, have more handshakes under way than the machine
can finish before their deadlines; then all of them fail, and begin again together. As TCP does for packets, each peer
raises its number by little while handshakes succeed and halves it when one runs into its deadline (Chiu & Jain 1989).
"""

FIRST = 2
MOST = 8


class DialWindow:
    """Pure. An address where nothing answers says nothing about load, and does not count."""

    def __init__(self, *, least: int = 1) -> None:
        self._least = float(least)
        self._size = float(FIRST)

    @property
    def size(self) -> int:
        return int(self._size)

    def finished(self) -> None:
        """Note a handshake that was finished in time, whatever came of it."""
        self._size = min(float(MOST), self._size + 1.0 / self._size)

    def timed_out(self) -> None:
        """Note one that ran into its deadline although somebody had taken the connection."""
        self._size = max(self._least, self._size / 2.0)
