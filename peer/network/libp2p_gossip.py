"""Gossip over libp2p: one stream to each neighbour, and one from it. The rules are in gossip.py.

Not py-libp2p's GossipSub: why, and what it cost, is in docs/adr/0053.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Never

import trio
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.stream_muxer.exceptions import MuxedStreamError

from peer.errors import ProtocolError, TransportError
from peer.network.discovery.backoff import RedialPolicy
from peer.network.gate import Gate
from peer.network.gossip import CALM_LOOKS, Gossip
from peer.network.gossip_frames import Frame, FrameReader, Kind, encode_message, encode_names
from peer.network.libp2p_connections import ConnectionTable
from peer.network.libp2p_guard import reset_stream
from peer.network.libp2p_negotiation import proposal, read_consent
from peer.network.libp2p_outbox import Outbox
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.libp2p_upgrade import root_cause
from peer.network.libp2p_yamux import muxer_of
from peer.network.libp2p_yamux_stream import muxed_stream
from peer.network.transport import GossipFailing
from peer.types import PeerId, Seconds

MAX_STREAMS = 4
"""Of one neighbour at a time: one is enough, a second lives for a moment when it connects anew."""

PAUSES = RedialPolicy(first_s=0.25, cap_s=30.0)
"""Between two attempts to speak to a neighbour."""

STEADY_S: Seconds = 5.0
"""A stream that breaks after this time had worked: it is the first failure, not one more."""

FIRST_TOLD = 4
"""Failures in a row that are told; a peer that is about to leave makes one or two."""

Deliver = Callable[[PeerId, bytes], None]
Admits = Callable[[PeerId, int], bool]
"""Asked of every frame that a neighbour hands over, as `Frame.charged` says; it counts what it refuses."""


class GossipStreams:
    """Speaks to every peer of `connections` that `gate` is open to, and listens to them."""

    def __init__(
        self,
        host: IHost,
        connections: ConnectionTable,
        gate: Gate,
        settings: Libp2pSettings,
        *,
        deliver: Deliver,
        admits: Admits,
        counters: dict[str, int],
        nursery: trio.Nursery,
    ) -> None:
        """nursery: of the tasks that speak, one for each neighbour."""
        self._host = host
        self._connections = connections
        self._gate = gate
        self._settings = settings
        self._deliver = deliver
        self._admits = admits
        self._counters = counters
        self._nursery = nursery
        self._rng = random.Random()
        self._gossip = Gossip(draw=self._draw)
        self._protocol = TProtocol(f"/murmur/gossip/1/{settings.run_id}")
        self._outboxes: dict[PeerId, Outbox] = {}
        self._scopes: dict[PeerId, trio.CancelScope] = {}
        self._listening: Counter[PeerId] = Counter()
        host.set_stream_handler(self._protocol, self._listen)

    def refresh(self) -> None:
        """Look at who is connected and admitted: speak to whoever is new, stop speaking to whoever is gone."""
        neighbours = {peer for peer in self._connections.peers() if self._gate.is_open_to(peer)}
        for peer in self._outboxes.keys() - neighbours:
            del self._outboxes[peer]
            self._scopes.pop(peer).cancel()
        if self._nursery.cancel_scope.cancel_called:
            return
        for peer in sorted(neighbours - self._outboxes.keys()):
            outbox, scope = Outbox(), trio.CancelScope()
            self._outboxes[peer], self._scopes[peer] = outbox, scope
            self._nursery.start_soon(self._speak, peer, outbox, scope)

    def publish(self, data: bytes) -> None:
        """Send to every neighbour; never waits."""
        frame = encode_message(data)
        sent = [peer for peer in self._outboxes if self._send(peer, frame)]
        self._gossip.publish(data, sent, trio.current_time())

    async def tell_forever(self) -> Never:
        """Name to neighbours what they may have missed."""
        while True:
            looks = CALM_LOOKS if self._gossip.is_calm else 1
            await trio.sleep(looks * self._settings.tell_s * self._rng.uniform(0.75, 1.25))
            for peer, names in self._gossip.tell(self._outboxes.keys(), trio.current_time()).items():
                self._send(peer, encode_names(Kind.HAVE, names))

    def _draw(self, peers: Sequence[PeerId], count: int) -> list[PeerId]:
        return self._rng.sample(peers, min(count, len(peers)))

    def _send(self, peer: PeerId, frame: bytes) -> bool:
        outbox = self._outboxes.get(peer)
        if outbox is None:
            return False  # it speaks to us, and we have not admitted it yet
        if not outbox.put(frame):
            self._counters["gossip_dropped"] += 1
            return False
        return True

    async def _speak(self, peer: PeerId, outbox: Outbox, scope: trio.CancelScope) -> None:
        """Write what comes into `outbox` until cancelled; a stream that breaks is opened anew, what it held is lost."""
        failures = 0
        with scope:
            while True:
                begun = trio.current_time()
                cause = await self._speak_once(peer, outbox)
                failures = 1 if trio.current_time() - begun >= STEADY_S else failures + 1
                self._counters["gossip_interrupted"] += 1
                if failures >= FIRST_TOLD and failures.bit_count() == 1:
                    self._connections.tell(GossipFailing(peer=peer, failures=failures, cause=root_cause(cause)))
                await trio.sleep(PAUSES.wait_s(failures, self._rng))

    async def _speak_once(self, peer: PeerId, outbox: Outbox) -> Exception:
        """Return why the stream did not open, or broke."""
        try:
            stream = await muxer_of(self._connections.newest_to(peer)).open_stream()
        except (TransportError, MuxedStreamError) as error:
            return error
        try:
            with trio.fail_after(self._settings.stream_idle_s):
                await stream.write(proposal(self._protocol))
                await read_consent(stream, self._protocol)
            stream.stop_listening()  # it speaks on a stream of its own
            await outbox.write_to(stream)
        except (BaseLibp2pError, ProtocolError, trio.TooSlowError) as error:
            return error
        finally:
            await reset_stream(stream)

    async def _listen(self, stream: INetStream) -> None:
        """Take what a neighbour says until its stream ends."""
        peer = PeerId(stream.muxed_conn.peer_id.to_base58())
        if self._listening[peer] >= MAX_STREAMS:
            self._counters["frames_refused"] += 1
            await reset_stream(stream)
            return
        self._listening[peer] += 1
        try:
            await self._read_all(peer, stream)
        except ProtocolError:
            self._counters["frames_refused"] += 1
        finally:
            self._listening[peer] -= 1
            if not self._listening[peer]:
                del self._listening[peer]
            await reset_stream(stream)

    async def _read_all(self, peer: PeerId, stream: INetStream) -> None:
        """Raises: ProtocolError at the first frame that is none."""
        with suppress(MuxedStreamError):  # the other end is gone
            await muxed_stream(stream).feed(_Ear(partial(self._take, peer)))

    def _take(self, peer: PeerId, frame: Frame) -> None:
        if not all(self._admits(peer, size) for size in frame.charged()):  # of strangers, too: they are shown the door
            return
        if not self._gate.is_open_to(peer):
            self._counters["gossip_dropped"] += 1  # before it counts as seen: another may bring the same
            return
        now = trio.current_time()
        match frame.kind:
            case Kind.MESSAGE:
                if self._gossip.is_new(peer, frame.body, now):
                    self._deliver(peer, frame.body)
                    for other in self._gossip.pass_on(frame.body, self._outboxes):
                        self._send(other, encode_message(frame.body))
            case Kind.HAVE:
                if wanted := self._gossip.lacking(peer, frame.names(), now):
                    self._send(peer, encode_names(Kind.WANT, wanted))
            case Kind.WANT:
                for data in self._gossip.give(peer, frame.names()):
                    self._send(peer, encode_message(data))


class _Ear:
    """What a neighbour's stream is fed to. missing: always more, until the stream ends."""

    missing = sys.maxsize

    def __init__(self, take: Callable[[Frame], None]) -> None:
        self._take = take
        self._reader = FrameReader()

    def feed(self, data: memoryview) -> None:
        for frame in self._reader.feed(data):
            self._take(frame)
