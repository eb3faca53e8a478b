"""Who pulls at a time: so many, and one that is slow lets those that wait go before it goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from peer.types import Seconds

MAX_PULLS = 4
TURN_S: Seconds = 2.5
SLOW_BYTES_PER_S = 128 * 1024
"""A holder may be as slow as 256 KiB in each request's deadline; whoever waits need not wait for that one."""


class PullTurns:
    """First come, first served; a turn lasts until its pull is over, or is slow while others wait."""

    def __init__(self) -> None:
        self._places = trio.CapacityLimiter(MAX_PULLS)

    @asynccontextmanager
    async def take(self) -> AsyncIterator["PullTurn"]:
        """Wait for a turn, and have it for the block."""
        turn = PullTurn(self._places)
        await turn.begin()
        try:
            yield turn
        finally:
            turn.end()


class PullTurn:
    """One of the turns of a pull. is_over: whether it is to `give_way`."""

    def __init__(self, places: trio.CapacityLimiter) -> None:
        self.is_over = False
        self._places = places
        self._begun: Seconds = 0.0
        self._bytes = 0
        self._is_held = False

    async def begin(self) -> None:
        await self._places.acquire_on_behalf_of(self)
        self._begun, self._bytes = trio.current_time(), 0
        self._is_held, self.is_over = True, False

    def end(self) -> None:
        if self._is_held:
            self._is_held = False
            self._places.release_on_behalf_of(self)

    def note(self, count: int) -> bool:
        """Note that so many bytes came; return whether the turn is over."""
        self._bytes += count
        lasts_s = trio.current_time() - self._begun
        if lasts_s >= TURN_S and self._bytes < lasts_s * SLOW_BYTES_PER_S:
            self.is_over = self._places.statistics().tasks_waiting > 0
        return self.is_over

    async def give_way(self) -> None:
        """Let whoever waits go first, and take another turn."""
        self.end()
        await self.begin()
