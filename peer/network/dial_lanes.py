"""Dials wait for dials of their own kind alone, and only for those that somebody has answered.

Anybody can tell a peer of addresses at which somebody takes the connection and says nothing: each holds a dial up until
its deadline, and looks like a sign of overload. So it is no sign for others, and holds up none of them. An address at
which nobody takes the connection costs no handshake: it keeps its place for as long as a machine that is there needs.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from peer.network.dial_window import DialWindow
from peer.network.transport import Origin
from peer.types import Seconds

LEAST_OF_HEARSAY = 2
"""Also of those who want to be dialled back: each may be anybody's word."""

MAX_LOOKUPS = 16
"""Names of one kind that are looked up at a time, those included that no dial waits for any more. Anybody can tell of
names whose servers say nothing."""


class Place:
    """One of a lane's. window: to be told of the handshake. lookups: of the threads in which it looks names up."""

    def __init__(self, window: DialWindow, places: trio.CapacityLimiter, lookups: trio.CapacityLimiter) -> None:
        self.window = window
        self.lookups = lookups
        self._places = places
        self._is_taken = False

    async def take(self) -> None:
        """Wait for it, unless we have it."""
        if not self._is_taken:
            await self._places.acquire_on_behalf_of(self)
            self._is_taken = True

    def leave(self) -> None:
        """Let another dial have it."""
        if self._is_taken:
            self._is_taken = False
            self._places.release_on_behalf_of(self)

    async def leave_after(self, wait_s: Seconds) -> None:
        await trio.sleep(wait_s)
        self.leave()


class DialLane:
    """As many dials at a time as its window says; the others wait."""

    def __init__(self, *, least: int = 1) -> None:
        self._window = DialWindow(least=least)
        self._places = trio.CapacityLimiter(self._window.size)
        self._lookups = trio.CapacityLimiter(MAX_LOOKUPS)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """Wait for a place, and have it for the block."""
        place = Place(self._window, self._places, self._lookups)
        await place.take()
        try:
            yield place
        finally:
            place.leave()
            self._places.total_tokens = self._window.size


def dial_lanes() -> Mapping[Origin, DialLane]:
    by_word = (Origin.HEARSAY, Origin.ASKED)
    return {origin: DialLane(least=LEAST_OF_HEARSAY if origin in by_word else 1) for origin in Origin}
