"""The ping protocol of libp2p: 32 bytes that the other end sends back.

Not py-libp2p 0.8.1's: it sends back whatever comes, as fast as it comes, and a megabyte of pings a second takes all of
a processor. And where it asks, it reads answers as long as they say that they are.
"""

import os
from collections.abc import Callable

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError

from peer.errors import ProtocolError
from peer.network.libp2p_framing import read_exactly
from peer.network.libp2p_guard import reset_stream
from peer.network.libp2p_negotiation import proposal, read_consent
from peer.network.libp2p_yamux import YamuxConnection
from peer.network.libp2p_yamux_stream import muxed_stream
from peer.types import PeerId, Seconds

PING = TProtocol("/ipfs/ping/1.0.0")
PING_BYTES = 32


async def ping(muxed: YamuxConnection) -> bool:
    """Return whether the other end sends back what we send; the caller sets the deadline.

    Raises: MuxedStreamError, ProtocolError, IOException: it does not.
    """
    stream, sent = await muxed.open_stream(), os.urandom(PING_BYTES)
    try:
        await stream.write(proposal(PING) + sent)
        await read_consent(stream, PING)
        is_back = await read_exactly(stream, PING_BYTES) == sent
        await stream.close()
    except BaseException:
        await reset_stream(stream)
        raise
    return is_back


async def answer_pings(stream: INetStream, *, admits: Callable[[PeerId, int], bool], idle_s: Seconds) -> None:
    """Send pings back until the other end has closed the stream, or sends none for `idle_s`.

    admits: asked of each, with its size, as of what else comes unasked; it ends the connection of who goes on.
    """
    peer, muxed = PeerId(stream.muxed_conn.peer_id.to_base58()), muxed_stream(stream)
    try:
        with trio.move_on_after(idle_s) as patience:
            while True:
                sent = await read_exactly(muxed, PING_BYTES)
                if admits(peer, len(sent)):
                    await muxed.write(sent)
                patience.deadline = trio.current_time() + idle_s
                await trio.lowlevel.checkpoint()  # many may be here already
    except MuxedStreamEOF:
        await muxed.close()
    except (MuxedStreamError, ProtocolError):
        pass  # it is gone, or has broken off
    finally:
        await reset_stream(muxed)
