"""Requests and responses over libp2p streams: one stream each, bounded, with a deadline on what the other end owes."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.network.connection.swarm_connection import SwarmConn

from peer.errors import ProtocolError, TransportError
from peer.network.budget import MemoryBudget
from peer.network.gate import Gate
from peer.network.libp2p_framing import HEADER_BYTES, header, read_exactly, read_header, write_last_frame
from peer.network.libp2p_guard import reset_stream
from peer.network.libp2p_host import QuietHost
from peer.network.libp2p_negotiation import proposal
from peer.network.libp2p_response import OVERHEAD_BYTES, Response
from peer.network.libp2p_upgrade import root_cause
from peer.network.libp2p_yamux import YamuxConnection, muxer_of
from peer.network.libp2p_yamux_stream import YamuxStream, muxed_stream
from peer.network.transport import MAX_MESSAGE_BYTES, Content, DownloadHandler, RequestHandler
from peer.types import PeerId, Seconds

PROTOCOL_PREFIX = "/murmur/"
DOWNLOAD_WINDOW_BYTES = 4 * 1024 * 1024
"""How far a holder may be ahead of us in one download: 40 MB/s over a way of 100 ms there and back."""


class RequestStreams:
    """Sends requests to connected peers, and answers theirs by the handlers registered.

    idle_s: how long the other end may take to open a stream or to send its request; how long an answer may
    take is for the requester's cancel scope to say.
    """

    def __init__(
        self,
        host: QuietHost,
        counters: dict[str, int],
        *,
        idle_s: Seconds,
        gate: Gate,
        admits: Callable[[PeerId, int], bool] = lambda *_: True,
        admits_answer: Callable[[PeerId, int], bool] = lambda *_: True,
    ) -> None:
        """admits, admits_answer: asked of every request and response, with its size; they count what they refuse."""
        self._admits = admits
        self._admits_answer = admits_answer
        self._host = host
        self._gate = gate
        self._counters = counters
        self._idle_s = idle_s
        self._budget = MemoryBudget()

    def handle(self, protocol: str, handler: RequestHandler, *, strangers: bool) -> None:
        @asynccontextmanager
        async def answer(peer: PeerId, data: bytes) -> AsyncIterator[Content]:
            content = await handler(peer, data)
            if len(content) > MAX_MESSAGE_BYTES:
                raise ValueError(f"a response is bounded at {MAX_MESSAGE_BYTES} bytes, got {len(content)}")
            with self._budget.hold(peer, len(content)):
                yield content

        self._handle(protocol, answer, strangers=strangers)

    def handle_download(self, protocol: str, handler: DownloadHandler) -> None:
        self._handle(protocol, handler, strangers=False)

    async def request(self, conn: SwarmConn, protocol: str, data: bytes) -> bytes:
        """Send one request, return the response. Raises: TransportError, after a reset of the stream."""
        answer = bytearray()
        await self._ask(conn, protocol, data, max_bytes=MAX_MESSAGE_BYTES, take=answer.extend)
        return bytes(answer)

    async def download(
        self, conn: SwarmConn, protocol: str, data: bytes, *, max_bytes: int, take: Callable[[Content], object]
    ) -> None:
        """Send one request, hand the parts of the response to `take`. Raises: as `request`; what `take` raises."""
        window_bytes = min(OVERHEAD_BYTES + max_bytes, DOWNLOAD_WINDOW_BYTES)
        await self._ask(conn, protocol, data, max_bytes=max_bytes, take=take, window_bytes=window_bytes)

    async def _ask(
        self,
        conn: SwarmConn,
        protocol: str,
        data: bytes,
        *,
        max_bytes: int,
        take: Callable[[Content], object],
        window_bytes: int = 0,
    ) -> None:
        wanted, peer = _protocol_id(protocol), conn.muxed_conn.peer_id
        try:
            stream = await self._open_stream(muxer_of(conn))
            stream.widen(window_bytes)
            patience = trio.CancelScope()
            response = Response(
                wanted, max_bytes=max_bytes, take=take, consented=partial(setattr, patience, "deadline", math.inf)
            )
            await self._ask_on(stream, b"".join((proposal(wanted), header(len(data)), data)), response, patience)
        except ProtocolError as error:
            if error.reason == "frame_too_large":
                self._counters["frames_refused"] += 1
            raise TransportError(f"{protocol} request to {peer}: bad response: {error}") from error
        except (BaseLibp2pError, trio.TooSlowError) as error:
            raise TransportError(f"{protocol} request to {peer} refused or broken: {root_cause(error)}") from error

    async def _open_stream(self, muxed: YamuxConnection) -> YamuxStream:
        """Raises: MuxedStreamError; TooSlowError when we have too many open already, and none of them ends."""
        if muxed.has_room:
            return await muxed.open_stream()
        with trio.fail_after(self._idle_s):
            return await muxed.open_stream()

    async def _ask_on(
        self, stream: YamuxStream, request: bytes, response: Response, patience: trio.CancelScope
    ) -> None:
        """patience: not entered; ends with consent."""
        try:
            await stream.write(request, is_last=True)
            patience.deadline = trio.current_time() + self._idle_s
            with patience:
                await stream.feed(response)
            if patience.cancelled_caught:
                raise trio.TooSlowError(f"not a word within {self._idle_s:g} s")
        except BaseException:
            await reset_stream(stream)
            raise
        await _finish(stream)

    def _handle(self, protocol: str, handler: DownloadHandler, *, strangers: bool) -> None:
        serve = partial(self._serve, handler, strangers=strangers)
        self._host.set_stream_handler(_protocol_id(protocol), serve)

    async def _serve(self, handler: DownloadHandler, stream: INetStream, *, strangers: bool) -> None:
        try:
            await self._answer(handler, stream, strangers=strangers)
        except ProtocolError as error:
            kind = "frames_refused" if error.reason.startswith("frame_") else "protocol_errors"
            self._counters[kind] += 1
            await reset_stream(stream)
        except Exception:  # a service's handler must not end the network; the contract says it is counted
            self._counters["handler_errors"] += 1
            await reset_stream(stream)
        except BaseException:
            await reset_stream(stream)
            raise

    async def _answer(self, handler: DownloadHandler, stream: INetStream, *, strangers: bool) -> None:
        peer = PeerId(stream.muxed_conn.peer_id.to_base58())
        muxed = muxed_stream(stream)
        with ExitStack() as held:
            data = await self._read_request(muxed, partial(self._hold, held, peer))
            if not self._admits(peer, len(data)):
                await reset_stream(stream)
                return
            if not strangers and not self._gate.is_open_to(peer):
                await self._gate.wait_for(peer)
            try:
                async with handler(peer, data) as content:
                    if not self._admits_answer(peer, len(content)):
                        await reset_stream(stream)
                        return
                    await self._write(muxed, content)
            except _NotTakenError:
                return
        await _finish(muxed)

    async def _write(self, stream: YamuxStream, content: Content) -> None:
        """Raises: _NotTakenError, after a reset of the stream."""
        try:
            await write_last_frame(stream, content)
        except BaseLibp2pError as error:  # the requester has given up, reads nothing, or is gone: nobody's mistake here
            await reset_stream(stream)
            raise _NotTakenError(root_cause(error)) from error

    def _hold(self, held: ExitStack, peer: PeerId, size: int) -> None:
        """Raises: ProtocolError when `peer` has us hold too much already."""
        held.enter_context(self._budget.hold(peer, size))

    async def _read_request(self, stream: YamuxStream, hold: Callable[[int], None]) -> bytes:
        """Read one request, so that a peer that opens a stream and sleeps, or breaks off, holds nothing for long."""
        size = int.from_bytes(stream.peek(HEADER_BYTES), "big")
        if size <= min(MAX_MESSAGE_BYTES, stream.unread_bytes - HEADER_BYTES):  # nearly always
            hold(size)
            return stream.take(HEADER_BYTES + size)[HEADER_BYTES:]
        try:
            with trio.fail_after(self._idle_s):
                size = await read_header(stream, max_bytes=MAX_MESSAGE_BYTES)
                hold(size)
                return await read_exactly(stream, size)
        except trio.TooSlowError as error:
            raise ProtocolError("frame_too_slow", f"no whole request within {self._idle_s:g} s") from error
        except BaseLibp2pError as error:  # a stream breaks with errors of several layers
            raise ProtocolError("frame_truncated", root_cause(error)) from error


class _NotTakenError(TransportError):
    """Who asked did not take the answer."""


async def _finish(stream: YamuxStream) -> None:
    """Close our end; when that fails, the answer is here all the same."""
    try:
        await stream.close()
    except BaseLibp2pError:  # the other end was quicker, in one of several ways
        await reset_stream(stream)
    except BaseException:
        await reset_stream(stream)
        raise


def _protocol_id(protocol: str) -> TProtocol:
    return TProtocol(PROTOCOL_PREFIX + protocol)
