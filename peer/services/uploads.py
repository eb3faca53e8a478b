"""Serving blobs: so many at a time, so many to one peer, and no more memory than they take anyway."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from peer.network.transport import Content
from peer.types import Digest, PeerId, Seconds
from peer.wire.sync import BlobRequest, decode

MAX_UPLOADS = 8
"""To peers that take them in time; to those that do not, once more so many, one to each."""

MAX_UPLOADS_TO_ONE = 4
"""As many as a peer pulls at a time (`pull_turns.py`): only one that asks for more has to wait."""

MAX_WAITING = 64
PATIENCE_S: Seconds = 2.0
"""How long a request waits for its turn. Then it is told no: it asks another holder, and this one again a second later,
when those that were served meanwhile hold the blob, too."""

SLOW_S: Seconds = 5.0
SLOW_FOR_S: Seconds = 60.0
"""Whoever has not taken an upload in 5 s gets one at a time until a minute after its end, and has no turn of those that
others have: by 26 KB/s for each, two such peers could else have all turns for ever."""

MAX_SLOW = 256
"""Such peers remembered; beyond it the oldest is forgotten."""

_NOTHING = b""


class Uploads:
    """Answers `BLOB_PROTOCOL` with views of blobs that are in memory anyway: an upload costs one write's buffer."""

    def __init__(self, find: Callable[[Digest], bytes | None]) -> None:
        self._find = find
        self._begun: dict[PeerId, list[Seconds]] = {}  # of those under way
        self._waiting: Counter[PeerId] = Counter()
        self._slow_until: dict[PeerId, Seconds] = {}
        self._ended = trio.lowlevel.ParkingLot()

    @asynccontextmanager
    async def serve(self, peer: PeerId, data: bytes) -> AsyncIterator[Content]:
        """The handler of `BLOB_PROTOCOL`. Nothing: we do not have it, or no time for it now."""
        asked = decode(data, BlobRequest)
        if not await self._take_turn(peer):
            yield _NOTHING
            return
        begun = self._begun[peer][-1]
        try:
            blob = self._find(Digest(asked.blob))
            yield _NOTHING if blob is None else memoryview(blob)[asked.offset : asked.offset + asked.length]
        finally:
            self._give_turn_back(peer, begun)

    async def _take_turn(self, peer: PeerId) -> bool:
        if not self._has_room(peer):
            if self._waiting.total() >= MAX_WAITING or self._waiting[peer] >= MAX_UPLOADS_TO_ONE:
                return False
            self._waiting[peer] += 1
            try:
                with trio.move_on_after(PATIENCE_S):
                    while not self._has_room(peer):
                        await self._wait_for_change()
            finally:
                self._waiting -= Counter((peer,))  # without what is zero then
        if not self._has_room(peer):
            return False
        self._begun.setdefault(peer, []).append(trio.current_time())
        return True

    async def _wait_for_change(self) -> None:
        """Return when an upload has ended, or has become slow."""
        soon = (begun[0] + SLOW_S for peer, begun in self._begun.items() if not self._is_slow(peer))
        with trio.move_on_at(min(soon, default=math.inf)):
            await self._ended.park()

    def _has_room(self, peer: PeerId) -> bool:
        own = len(self._begun.get(peer, ()))
        if self._is_slow(peer):
            return not own and sum(map(self._is_slow, self._begun)) < MAX_UPLOADS
        others = sum(len(begun) for other, begun in self._begun.items() if not self._is_slow(other))
        return others < MAX_UPLOADS and own < MAX_UPLOADS_TO_ONE

    def _is_slow(self, peer: PeerId) -> bool:
        now, begun = trio.current_time(), self._begun.get(peer)
        return self._slow_until.get(peer, 0.0) > now or (begun is not None and now >= begun[0] + SLOW_S)

    def _note_slow(self, peer: PeerId) -> None:
        self._slow_until.pop(peer, None)
        self._slow_until[peer] = trio.current_time() + SLOW_FOR_S
        if len(self._slow_until) > MAX_SLOW:
            del self._slow_until[next(iter(self._slow_until))]

    def _give_turn_back(self, peer: PeerId, begun: Seconds) -> None:
        if trio.current_time() >= begun + SLOW_S:
            self._note_slow(peer)
        self._begun[peer].remove(begun)
        if not self._begun[peer]:
            del self._begun[peer]
        self._ended.unpark_all()
