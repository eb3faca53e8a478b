"""Dials wait for dials of their own kind alone.

Anybody can tell a peer of addresses at which somebody takes the connection and says nothing: each holds a dial up until
its deadline, and looks like a sign of overload. So it is no sign for others, and holds up none of them.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from peer.network.dial_window import DialWindow
from peer.network.transport import Origin

LEAST_OF_HEARSAY = 2


class DialLane:
    """As many dials at a time as its window says; the others wait."""

    def __init__(self, *, least: int = 1) -> None:
        self._window = DialWindow(least=least)
        self._places = trio.CapacityLimiter(self._window.size)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[DialWindow]:
        """Wait for a place, and have it for the block; the window is to be told of the handshake."""
        async with self._places:
            try:
                yield self._window
            finally:
                self._places.total_tokens = self._window.size


def dial_lanes() -> Mapping[Origin, DialLane]:
    return {origin: DialLane(least=LEAST_OF_HEARSAY if origin is Origin.HEARSAY else 1) for origin in Origin}
