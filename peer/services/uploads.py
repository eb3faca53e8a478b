"""Serving blobs: so many at a time, so many to one peer, and no more memory than they take anyway."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from peer.network.transport import Content
from peer.types import Digest, PeerId, Seconds
from peer.wire.sync import BlobRequest, decode

MAX_UPLOADS = 8
MAX_UPLOADS_TO_ONE = 4
"""As many as a peer pulls at a time (`pull_turns.py`): only one that asks for more has to wait."""

MAX_WAITING = 64
PATIENCE_S: Seconds = 2.0
"""How long a request waits for its turn. Then it is told no: it asks another holder, and this one again a second later,
when those that were served meanwhile hold the blob, too."""

_NOTHING = b""


class Uploads:
    """Answers `BLOB_PROTOCOL` with views of blobs that are in memory anyway: an upload costs one write's buffer."""

    def __init__(self, find: Callable[[Digest], bytes | None]) -> None:
        self._find = find
        self._under_way: Counter[PeerId] = Counter()
        self._waiting = 0
        self._ended = trio.lowlevel.ParkingLot()

    @asynccontextmanager
    async def serve(self, peer: PeerId, data: bytes) -> AsyncIterator[Content]:
        """The handler of `BLOB_PROTOCOL`. Nothing: we do not have it, or no time for it now."""
        asked = decode(data, BlobRequest)
        if not await self._take_turn(peer):
            yield _NOTHING
            return
        try:
            blob = self._find(Digest(asked.blob))
            yield _NOTHING if blob is None else memoryview(blob)[asked.offset : asked.offset + asked.length]
        finally:
            self._give_turn_back(peer)

    async def _take_turn(self, peer: PeerId) -> bool:
        if not self._has_room(peer):
            if self._waiting >= MAX_WAITING:
                return False
            self._waiting += 1
            try:
                with trio.move_on_after(PATIENCE_S):
                    while not self._has_room(peer):
                        await self._ended.park()
            finally:
                self._waiting -= 1
        if not self._has_room(peer):
            return False
        self._under_way[peer] += 1
        return True

    def _has_room(self, peer: PeerId) -> bool:
        return self._under_way.total() < MAX_UPLOADS and self._under_way[peer] < MAX_UPLOADS_TO_ONE

    def _give_turn_back(self, peer: PeerId) -> None:
        self._under_way[peer] -= 1
        if not self._under_way[peer]:
            del self._under_way[peer]
        self._ended.unpark_all()
