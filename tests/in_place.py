"""Blocking calls without threads, for virtual time: a clock that jumps while a thread works makes every run another."""

from collections.abc import Callable

import trio


async def in_place(work: Callable[[], None]) -> None:
    """Implements `peer.services.blocking.RunBlocking`."""
    await trio.lowlevel.checkpoint()
    work()
