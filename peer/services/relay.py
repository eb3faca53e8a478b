"""Pulling a blob on behalf of a neighbour that cannot reach its holders: how two peers behind NATs get at each other's
work. One hop and no more; what was fetched is kept for a moment, in bounded memory."""

from collections.abc import Awaitable, Callable
from typing import Never

import trio

from peer.errors import ProtocolError
from peer.types import Digest, PeerId, Seconds
from peer.wire.sync import RelayRequest, RelayResponse, decode, encode

Fetch = Callable[[Digest, int, PeerId], Awaitable[bytes | None]]
"""(blob, its size, who asks) -> the bytes, pulled from neighbours other than the asker, None if nobody has it."""

MAX_KEPT_BYTES = 128 * 1024 * 1024
MAX_RELAYS = 2
"""At a time, whoever asks; the others are told no, and ask the next neighbour."""

KEEP_S: Seconds = 30.0


class Relay:
    """Fetches for others. has: whether we hold a blob ourselves. fetch: pulls from our neighbours, without relays.

    helps: whom we do it for. It gives no asker more than it could have by connecting to our neighbours, and costs us at
    most MAX_RELAYS pulls of MAX_RELAYED_BYTES at a time, and MAX_KEPT_BYTES of memory.
    """

    def __init__(
        self,
        *,
        has: Callable[[Digest], bool],
        fetch: Fetch,
        helps: Callable[[PeerId], bool],
    ) -> None:
        self._has = has
        self._fetch = fetch
        self._helps = helps
        self._kept: dict[Digest, tuple[Seconds, bytes]] = {}
        self._under_way: set[Digest] = set()
        self._busy: set[PeerId] = set()

    def find(self, blob: Digest) -> bytes | None:
        """Return a blob that was fetched for somebody a moment ago."""
        kept = self._kept.get(blob)
        return None if kept is None else kept[1]

    async def keep_forgetting(self) -> Never:
        """Drop what was kept for its time, also where nobody asks for anything else."""
        while True:
            await trio.sleep(KEEP_S)
            self._forget_old()

    async def answer(self, peer: PeerId, data: bytes) -> bytes:
        """The handler of `RELAY_PROTOCOL`."""
        asked = decode(data, RelayRequest)
        blob = Digest(asked.blob)
        await trio.lowlevel.checkpoint()
        self._forget_old()
        if not self._helps(peer):
            raise ProtocolError("stranger", "relays are for peers that were greeted")
        if self._has(blob) or blob in self._kept:
            return encode(RelayResponse(held=True))
        if peer in self._busy or blob in self._under_way or len(self._busy) >= MAX_RELAYS:
            return encode(RelayResponse(held=False))
        return encode(RelayResponse(held=await self._fetch_for(peer, blob, asked.size)))

    async def _fetch_for(self, peer: PeerId, blob: Digest, size: int) -> bool:
        self._busy.add(peer)
        self._under_way.add(blob)
        try:
            data = await self._fetch(blob, size, peer)
        finally:
            self._busy.discard(peer)
            self._under_way.discard(blob)
        if data is None:
            return False
        while self._kept and sum(len(kept) for _, kept in self._kept.values()) + len(data) > MAX_KEPT_BYTES:
            del self._kept[next(iter(self._kept))]
        self._kept[blob] = (trio.current_time(), data)
        return True

    def _forget_old(self) -> None:
        now = trio.current_time()
        self._kept = {blob: kept for blob, kept in self._kept.items() if now - kept[0] < KEEP_S}
