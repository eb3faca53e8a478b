"""The fence between other peers' bytes and py-libp2p: without it six bytes end the process.

py-libp2p 0.8.1 lets an exception of a stream handler, its own ones included (once six bytes on
GossipSub), tear down its whole service. Every inbound stream of every protocol passes through one function
of the swarm, so one wrapper there covers gossip, ping and our own protocols.
"""

from collections import Counter
from collections.abc import Callable

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import StreamHandlerFn
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID

from peer.network.libp2p_yamux_stream import YamuxStream, muxed_stream
from peer.types import PeerId

RESET_PATIENCE_S = 1.0


class StreamGuard:
    """Runs inbound streams so that none of them can end more than itself.

    max_peer_streams: streams of one peer at a time; those above are reset and counted as `frames_refused`.
    counters: the transport's; an exception in a handler counts as `protocol_errors`.
    """

    def __init__(
        self,
        counters: dict[str, int],
        *,
        max_peer_streams: int,
        admits: Callable[[PeerId], bool] = lambda _: True,
    ) -> None:
        """admits: asked once for every stream of a peer; it counts what it refuses."""
        self._admits = admits
        self._counters = counters
        self._max_peer_streams = max_peer_streams
        self._open: Counter[ID] = Counter()

    def protect(self, swarm: Swarm) -> None:
        """Put the guard around the swarm's stream handler. Call it once, after the host has set its own."""
        swarm.set_stream_handler(self._guarded(swarm.common_stream_handler))

    def _guarded(self, handler: StreamHandlerFn) -> StreamHandlerFn:
        async def guarded(stream: INetStream) -> None:
            peer = stream.muxed_conn.peer_id
            if not self._admits(PeerId(peer.to_base58())):
                await reset_stream(stream)
                return
            if self._open[peer] >= self._max_peer_streams:
                self._counters["frames_refused"] += 1
                await reset_stream(stream)
                return
            self._open[peer] += 1
            try:
                await handler(stream)
            except Exception:  # whatever a third party's parser raises on hostile bytes ends this stream only
                self._counters["protocol_errors"] += 1
                await reset_stream(stream)
            finally:
                self._open[peer] -= 1
                if not self._open[peer]:
                    del self._open[peer]

        return guarded


async def reset_stream(stream: INetStream | YamuxStream) -> None:
    """Reset a stream, even when being cancelled; without a reset the other end would wait for ever."""
    muxed = stream if isinstance(stream, YamuxStream) else muxed_stream(stream)  # the swarm keeps none of ours
    with trio.move_on_after(RESET_PATIENCE_S) as patience:
        patience.shield = True
        try:
            await muxed.reset()
        except Exception:  # a broken connection has no streams left to reset; its own end is noticed elsewhere
            return
