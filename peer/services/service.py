"""What a service is: an async function `serve` that never returns and says when it is ready."""

from typing import Protocol


class TaskStatus(Protocol):
    """What `nursery.start` passes in. Our own, because the stubs that libp2p brings along lack trio's."""

    def started(self, value: None = None) -> None: ...
