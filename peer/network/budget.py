"""How many bytes other peers may have us hold at a time: requests that come in, and answers that nobody takes.

Pure. One peer gets a share, all together get more, and what an honest peer needs at a time is left to each even when
others have taken the rest: so whoever fills the memory keeps nobody else out.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from peer.errors import ProtocolError
from peer.types import PeerId

MAX_HELD_BYTES = 64 * 1024 * 1024
"""For all peers together, beyond what is left to each."""

MAX_HELD_FOR_ONE_BYTES = 4 * 1024 * 1024
"""Four of the largest requests or answers."""

LEFT_TO_EACH_BYTES = 128 * 1024
"""An announcement of 64 KiB, and what else is asked meanwhile."""


class MemoryBudget:
    """Bytes held on behalf of other peers, bounded for each of them and for all. held: bytes, of all peers together."""

    def __init__(self) -> None:
        self._held: Counter[PeerId] = Counter()
        self.held = 0

    @contextmanager
    def hold(self, peer: PeerId, size: int) -> Iterator[None]:
        """Count `size` bytes as held for `peer` in the block. Raises: ProtocolError `frame_no_room`."""
        own = self._held[peer] + size
        within = own <= MAX_HELD_FOR_ONE_BYTES and self.held + size <= MAX_HELD_BYTES
        if own > LEFT_TO_EACH_BYTES and not within:
            raise ProtocolError("frame_no_room", f"{size} bytes more than the {own - size} that it has us hold already")
        self._held[peer] += size
        self.held += size
        try:
            yield
        finally:
            self.held -= size
            self._held[peer] -= size
            if not self._held[peer]:
                del self._held[peer]
