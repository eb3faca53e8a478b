"""What a service is: an async function `serve` that never returns and says when it is ready."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The stubs that libp2p brings along shadow trio's own types and lack `trio.TaskStatus`.
    import trio_typing

    TaskStatus = trio_typing.TaskStatus[None]
else:
    TaskStatus = object

__all__ = ["TaskStatus"]
