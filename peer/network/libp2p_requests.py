"""Requests and responses over libp2p streams: one stream each, bounded, with a deadline on what the other end
owes."""

from collections.abc import Callable
from functools import partial

import trio
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

from peer.errors import ProtocolError, TransportError
from peer.network.gate import Gate
from peer.network.libp2p_framing import read_frame, write_frame
from peer.network.libp2p_guard import reset_stream
from peer.network.libp2p_upgrade import root_cause
from peer.network.transport import MAX_MESSAGE_BYTES, RequestHandler
from peer.types import PeerId, Seconds

PROTOCOL_PREFIX = "/murmur/"


class RequestStreams:
    """Sends requests to connected peers, and answers theirs by the handlers registered.

    idle_s: how long the other end may take to open a stream or to send its request; how long an answer may
    take is for the requester's cancel scope to say.
    """

    def __init__(
        self,
        host: IHost,
        counters: dict[str, int],
        *,
        idle_s: Seconds,
        gate: Gate,
        admits: Callable[[PeerId, str, int], bool] = lambda *_: True,
    ) -> None:
        """admits: asked of every request read, with its protocol and size; it counts what it refuses."""
        self._admits = admits
        self._host = host
        self._gate = gate
        self._counters = counters
        self._idle_s = idle_s
        self._multiselect = MultiselectClient()

    def handle(self, protocol: str, handler: RequestHandler, *, strangers: bool) -> None:
        handler = handler if strangers else partial(self._answer_admitted, handler)
        self._host.set_stream_handler(_protocol_id(protocol), partial(self._serve, protocol, handler))

    async def request(self, peer: PeerId, protocol: str, data: bytes, *, conn: SwarmConn | None = None) -> bytes:
        """Send one request, return the response. Raises: TransportError, after a reset of the stream.

        conn: the connection to take; any of the peer's if None.
        """
        try:
            with trio.fail_after(self._idle_s):
                if conn is None:
                    stream = await self._host.new_stream(ID.from_base58(peer), [_protocol_id(protocol)])
                else:
                    stream = await self._stream_on(conn, _protocol_id(protocol))
        except Exception as error:  # swarm, muxer, multiselect and socket have no common base for their errors
            raise TransportError(f"{peer} takes no {protocol} request: {root_cause(error)}") from error
        try:
            await write_frame(stream, data)
            answer = await read_frame(stream, max_bytes=MAX_MESSAGE_BYTES)
        except ProtocolError as error:
            if error.reason == "frame_too_large":
                self._counters["frames_refused"] += 1
            await reset_stream(stream)
            raise TransportError(f"{protocol} request to {peer}: bad response: {error}") from error
        except Exception as error:  # as above
            await reset_stream(stream)
            raise TransportError(f"{protocol} request to {peer} refused or broken: {root_cause(error)}") from error
        except BaseException:
            await reset_stream(stream)
            raise
        await _finish(stream)
        return answer

    async def _stream_on(self, conn: SwarmConn, protocol: TProtocol) -> INetStream:
        """As the host's `new_stream`, which chooses among a peer's connections by itself."""
        stream = await conn.new_stream()
        try:
            await self._multiselect.select_one_of(
                [protocol], MultiselectCommunicator(stream), max(1, int(self._idle_s))
            )
        except BaseException:
            await reset_stream(stream)
            raise
        stream.set_protocol(protocol)
        return stream

    async def _serve(self, protocol: str, handler: RequestHandler, stream: INetStream) -> None:
        try:
            await self._answer(protocol, handler, stream)
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

    async def _answer(self, protocol: str, handler: RequestHandler, stream: INetStream) -> None:
        peer = PeerId(stream.muxed_conn.peer_id.to_base58())
        data = await self._read_request(stream)
        if not self._admits(peer, protocol, len(data)):
            await reset_stream(stream)
            return
        answer = await handler(peer, data)
        if len(answer) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a response is bounded at {MAX_MESSAGE_BYTES} bytes, got {len(answer)}")
        try:
            await write_frame(stream, bytes(answer))
        except Exception:  # the requester has given up or is gone: nobody's mistake
            await reset_stream(stream)
            return
        await _finish(stream)

    async def _answer_admitted(self, handler: RequestHandler, peer: PeerId, data: bytes) -> bytes:
        await self._gate.wait_for(peer)
        return await handler(peer, data)

    async def _read_request(self, stream: INetStream) -> bytes:
        """Read one request, so that a peer that opens a stream and sleeps, or breaks off, holds nothing."""
        try:
            with trio.fail_after(self._idle_s):
                return await read_frame(stream, max_bytes=MAX_MESSAGE_BYTES)
        except trio.TooSlowError as error:
            raise ProtocolError("frame_too_slow", f"no whole request within {self._idle_s:g} s") from error
        except ProtocolError:
            raise
        except Exception as error:  # a stream breaks with errors of several layers
            raise ProtocolError("frame_truncated", root_cause(error)) from error


async def _finish(stream: INetStream) -> None:
    """Close our end; when that fails, the answer is here all the same."""
    try:
        await stream.close()
    except Exception:  # the other end was quicker, in one of several ways
        await reset_stream(stream)


def _protocol_id(protocol: str) -> TProtocol:
    return TProtocol(PROTOCOL_PREFIX + protocol)
