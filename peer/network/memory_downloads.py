"""Downloads of one end of a `MemoryNetwork`: those it makes, and those it serves, part by part."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.memory_replies import Download
from peer.network.transport import Content, DownloadHandler
from peer.types import PeerId

if TYPE_CHECKING:
    from peer.network.memory_end import MemoryEnd

PART_BYTES = 256 * 1024
"""Each is an event, and may be lost."""


class MemoryDownloads:
    """Take responses of any size from other ends, and send them those of this one's handlers."""

    def __init__(self, end: "MemoryEnd") -> None:
        self._end = end
        self._handlers: dict[str, DownloadHandler] = {}

    def handle(self, protocol: str, handler: DownloadHandler) -> None:
        self._handlers[protocol] = handler

    async def download(
        self, peer: PeerId, protocol: str, data: bytes, *, max_bytes: int, take: Callable[[Content], object]
    ) -> None:
        link = self._end.links.link_to(peer)
        server = link.other_end(self._end)
        download = Download(peer, link, max_bytes=max_bytes)
        with self._end.exchanges.open(download, partial(server.downloads.receive, protocol, data, download), len(data)):
            await download.drain(take)

    def receive(self, protocol: str, data: bytes, download: Download) -> None:
        """Start serving: runs when the request has crossed the link."""
        if self._end.exchanges.arrives(download, len(data)):
            self._end.start_soon(partial(self._serve, protocol, data, download))

    def take_part(self, download: Download, part: Content, total: int) -> None:
        """Runs when a part, of `total` bytes in all, has crossed the link to who asked."""
        if not self._end.exchanges.waits_for(download) or not self._end.exchanges.arrives(download, len(part)):
            return
        if total > download.max_bytes:
            self._end.counters["frames_refused"] += 1
            refusal = f"{download.peer} answered with {total} bytes, above {download.max_bytes}"
            download.settle(TransportError(refusal))
        else:
            download.add(part, total)

    async def _serve(self, protocol: str, data: bytes, download: Download) -> None:
        peer = download.link.other_end(self._end).peer
        handler = self._handlers.get(protocol)
        refusal = f"{self._end.peer} does not serve {protocol}"
        try:
            if handler is not None:
                await self._end.gate.wait_for(peer)
                async with handler(peer, data) as content:
                    await self._send_parts(content, download)
                return
        except ProtocolError:
            self._end.counters["protocol_errors"] += 1
            refusal = f"{self._end.peer} refused the {protocol} request"
        except Exception:  # a service's handler must not end the network; the contract says it is counted
            self._end.counters["handler_errors"] += 1
            refusal = f"{self._end.peer} failed to answer the {protocol} request"
        self._end.exchanges.answer(download, TransportError(refusal))

    async def _send_parts(self, content: Content, download: Download) -> None:
        """Send one part after the other, no faster than the link carries them, until nobody waits for them."""
        view, total, arrival = memoryview(content), len(content), -math.inf
        requester = download.link.other_end(self._end)
        direction = self._end.network.direction(self._end.peer, requester.peer)
        for start in range(0, max(total, 1), PART_BYTES):
            part = view[start : start + PART_BYTES]
            if not download.link.open or not self._end.alive or not requester.exchanges.waits_for(download):
                return
            self._end.counters["bytes_sent"] += len(part)
            if direction.loses(direction.profile.request_loss):
                self._end.exchanges.lose(download)
                return
            arrival = max(arrival, trio.current_time() + direction.delay(len(part)))
            requester.schedule(arrival, partial(requester.downloads.take_part, download, part, total))
            if math.isfinite(direction.profile.bytes_per_s):
                await trio.sleep(len(part) / direction.profile.bytes_per_s)
