"""What a service is: an async function `serve` that never returns and says when it is ready."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    # The stubs that libp2p brings along shadow trio's own types and lack `trio.TaskStatus`.
    import trio_typing

    TaskStatus = trio_typing.TaskStatus[None]
else:
    TaskStatus = object

__all__ = ["RunBlocking", "TaskStatus", "in_thread"]


class RunBlocking(Protocol):
    """Makes a blocking call for a service: in a thread, or in place in virtual time, whose clock jumps meanwhile."""

    async def __call__(self, work: Callable[[], None], /) -> None:
        """Return when `work` is done, or raise what it raised. A cancellation never leaves it half waited for."""


async def in_thread(work: Callable[[], None]) -> None:
    """Make the call in a worker thread, so that a slow disk holds nobody else up."""
    await trio.to_thread.run_sync(work)
