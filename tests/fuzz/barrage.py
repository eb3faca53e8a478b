"""A barrage of malformed frames on a running peer: on its port, its handshake, its muxer and each of its protocols.

Whoever floods is banned after a second, so the frames come from many addresses and many identities, each of which is
admitted like any newcomer, stays within the limits for one sender, and gives way to the next.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import trio
from libp2p.custom_types import TProtocol
from libp2p.stream_muxer.exceptions import MuxedStreamError

from peer.network.gossip_frames import encode_message
from peer.network.identity import Identity
from peer.network.libp2p_negotiation import proposal
from peer.network.libp2p_requests import PROTOCOL_PREFIX
from peer.network.libp2p_yamux_stream import YamuxStream
from peer.types import Seconds
from peer.wire.admission import ADMISSION_PROTOCOL
from peer.wire.envelope import open_envelope
from peer.wire.membership import PROBE_PROTOCOL
from peer.wire.messages import announcement, decode_announcement
from peer.wire.proofs import PROOFS_PROTOCOL
from peer.wire.sessions import SESSION_PROTOCOL
from peer.wire.sync import (
    BLOB_PROTOCOL,
    CARD_PROTOCOL,
    DIAL_BACK_PROTOCOL,
    HEADER_PROTOCOL,
    PEERS_PROTOCOL,
    RELAY_PROTOCOL,
    SYNC_PROTOCOL,
)
from tests.fuzz.hostile_peer import BROKEN, PATIENCE_S, HostilePeer, be_hostile, open_socket_from_anywhere
from tests.fuzz.malformed import Malformer
from tests.fuzz.targets import example_envelopes, targets

REQUESTS: Mapping[str, str] = {
    ADMISSION_PROTOCOL: "challenge",
    BLOB_PROTOCOL: "blob request",
    CARD_PROTOCOL: "envelope",
    DIAL_BACK_PROTOCOL: "dial-back request",
    HEADER_PROTOCOL: "announcement",
    PROBE_PROTOCOL: "probe",
    PROOFS_PROTOCOL: "proofs request",
    RELAY_PROTOCOL: "relay request",
    SESSION_PROTOCOL: "session question",
    SYNC_PROTOCOL: "sync request",
}
"""The target (targets.py) whose examples are damaged for each protocol. The request of `peers/1` is empty."""

LIBRARY_PROTOCOLS = ("/ipfs/ping/1.0.0",)

_RAW, _NOISE, _MUXER, _NEGOTIATION = "raw port", "Noise handshake", "muxer", "stream negotiation"
_GOSSIP_FRAMES, _GOSSIP_MESSAGES = "gossip frames", "gossip messages"

_SHARES: Mapping[str, float] = {
    _RAW: 0.03,
    _NOISE: 0.03,
    _MUXER: 0.08,
    _NEGOTIATION: 0.05,
    _GOSSIP_FRAMES: 0.04,
    _GOSSIP_MESSAGES: 0.4,
}
"""Of all frames; the rest goes to the request protocols in equal parts."""

_AT_ONCE: Mapping[str, int] = {
    _RAW: 20,
    _NOISE: 20,
    _MUXER: 400,
    _NEGOTIATION: 380,
    _GOSSIP_FRAMES: 380,
    _GOSSIP_MESSAGES: 900,
}
_REQUESTS_AT_ONCE = 380
"""From one address or identity: below what the flood gate takes for a flood (peer/network/libp2p_settings.py)."""

_LANES = 6
_STREAMS = 8
_BATCH = 30
_REST_S: Seconds = 0.05
"""After having been turned away."""

_CATCH_UP_S: Seconds = 1.0
_NOISE_PROPOSAL = b"\x13/multistream/1.0.0\n\x07/noise\n"


@dataclass
class _Batch:
    """left: frames for one sender that are not sent."""

    surface: str
    left: int


@dataclass
class Tally:
    """sent: whole frames that the socket took, by where they went. turned_away: connections that came to nothing."""

    sent: Counter[str] = field(default_factory=Counter)
    turned_away: int = 0


def plan(frames: int) -> Counter[str]:
    """Return how many frames go where; together `frames`."""
    requests = [*sorted(REQUESTS), PEERS_PROTOCOL, *LIBRARY_PROTOCOLS]
    planned = Counter({surface: int(frames * share) for surface, share in _SHARES.items()})
    rest = frames - planned.total()
    for index, protocol in enumerate(requests):
        planned[protocol] = rest // len(requests) + (index < rest % len(requests))
    return planned


class Barrage:
    """Frames, order and addresses follow from `seed`; how many of them are on their way at a moment does not."""

    def __init__(
        self, port: int, *, run: bytes, seed: int, frames: int, rate: float = math.inf, lanes: int = 6
    ) -> None:
        self.tally = Tally()
        self._port = port
        self._run = run
        self._rng = random.Random(seed)
        self._malformer = Malformer(self._rng)
        self._left = plan(frames)
        self._patience = 100 + frames // 100
        self._pause = 1 / rate
        self._next_at: Seconds = 0.0
        self._may_send = trio.Event()
        self._may_send.set()
        self._identities = itertools.count(seed << 32)
        self._decoders = {name: target.decode for name, target in targets().items()}
        self._examples = {name: target.examples for name, target in targets().items()}
        sealed = example_envelopes(Identity.for_tests(seed + 1), run=run)
        self._examples |= {
            "envelope": sealed,
            "announcement": tuple(announcement(data, b"payload") for data in sealed),
        }
        self._decoders |= {
            "envelope": partial(open_envelope, run=run),
            "announcement": lambda data: open_envelope(decode_announcement(data).envelope, run=run),
        }

    async def send_all(self) -> None:
        """Return when every frame has been sent. Raises: RuntimeError when the peer takes nobody in any more."""
        self._next_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(_LANES):
                nursery.start_soon(self._visit_until_done)

    def rest(self) -> None:
        """Send nothing until `go_on`."""
        self._may_send = trio.Event()

    def go_on(self) -> None:
        self._may_send.set()

    async def _visit_until_done(self) -> None:
        while surfaces := +self._left:
            (surface,) = self._rng.choices(list(surfaces), list(surfaces.values()))
            batch = _Batch(surface, min(self._left[surface], _AT_ONCE.get(surface, _REQUESTS_AT_ONCE)))
            self._left[surface] -= batch.left
            try:
                await self._visit(batch)
            except BROKEN as error:
                self.tally.turned_away += 1
                if self.tally.turned_away > self._patience:
                    raise RuntimeError(f"{self.tally}: nobody is taken in any more: {error!r}") from error
                await trio.sleep(_REST_S)
            finally:
                self._left[surface] += batch.left

    async def _visit(self, batch: _Batch) -> None:
        """Send as many of the batch as the peer takes from one sender. Raises: one of BROKEN."""
        if batch.surface in (_RAW, _NOISE):
            await self._throw_at_port(batch)
            return
        deeds: dict[str, Callable[[_Batch, HostilePeer], Awaitable[None]]] = {
            _MUXER: self._breach_muxer,
            _GOSSIP_MESSAGES: self._gossip,
        }
        deed = deeds.get(batch.surface, self._break_streams)
        identity = Identity.for_tests(next(self._identities))
        await be_hostile(self._port, identity, self._rng, partial(deed, batch), run=self._run)

    async def _sent(self, batch: _Batch, count: int = 1) -> None:
        """Count frames that are out, and keep to the rate."""
        batch.left -= count
        self.tally.sent[batch.surface] += count
        self._next_at = max(self._next_at, trio.current_time() - _CATCH_UP_S) + count * self._pause
        await trio.sleep_until(self._next_at)
        await self._may_send.wait()

    # Surfaces

    async def _throw_at_port(self, batch: _Batch) -> None:
        while batch.left:
            frame = self._malformer.raw() if batch.surface == _RAW else self._noise()
            async with await open_socket_from_anywhere(self._port, self._rng) as stream:
                with suppress(trio.BrokenResourceError):  # it may hang up in the middle
                    await stream.send_all(frame)
                    await stream.send_eof()
                    with trio.move_on_after(PATIENCE_S):
                        while await stream.receive_some():
                            pass
            await self._sent(batch)

    def _noise(self) -> bytes:
        first = b"\x00\x20" + self._rng.randbytes(32) if self._rng.random() < 0.5 else b""  # any 32 bytes are a key
        return _NOISE_PROPOSAL + first + self._malformer.noise()

    async def _breach_muxer(self, batch: _Batch, peer: HostilePeer) -> None:
        """Send frames that speak of nothing, and one that ends the connection."""
        strays = min(batch.left - 1, self._rng.choice((10, _AT_ONCE[_MUXER])))
        while strays > 0:
            count = min(strays, _BATCH)
            strays -= count
            await peer.secured.write(b"".join(self._malformer.stray_muxer_frame() for _ in range(count)))
            await self._sent(batch, count)
        if self._rng.random() < 0.5:
            await peer.secured.write(self._malformer.fatal_muxer_frame())
        else:
            await peer.secured._tcp.write(self._malformer.noise())
        await self._sent(batch)
        with trio.fail_after(PATIENCE_S):
            await peer.ended.wait()

    async def _gossip(self, batch: _Batch, peer: HostilePeer) -> None:
        """Publish what is no announcement, in frames that are in order."""
        stream = await peer.muxed.open_stream()
        await stream.write(proposal(peer.gossip_protocol))
        while batch.left:
            count = min(batch.left, _BATCH)
            await stream.write(b"".join(encode_message(self._refused("announcement")) for _ in range(count)))
            await self._sent(batch, count)
        await _end(stream)

    async def _break_streams(self, batch: _Batch, peer: HostilePeer) -> None:
        """Send a frame on each of many streams, a few at a time."""
        limiter = trio.CapacityLimiter(_STREAMS)
        broken: list[Exception] = []

        async def send(data: bytes) -> None:
            async with limiter:
                try:
                    stream = await peer.muxed.open_stream()
                    await stream.write(data)
                    await _end(stream)
                except BROKEN as error:
                    broken.append(error)
                else:
                    await self._sent(batch)

        async with trio.open_nursery() as nursery:
            for _ in range(batch.left):
                nursery.start_soon(send, self._stream_frame(batch.surface, peer))
        if broken:
            raise broken[0]

    def _stream_frame(self, surface: str, peer: HostilePeer) -> bytes:
        if surface == _NEGOTIATION:
            return self._malformer.negotiation()
        if surface == _GOSSIP_FRAMES:
            return proposal(peer.gossip_protocol) + self._malformer.gossip_frame()
        if surface in LIBRARY_PROTOCOLS:
            return proposal(TProtocol(surface)) + self._rng.randbytes(self._rng.randrange(1, 32))
        protocol = TProtocol(PROTOCOL_PREFIX + surface)
        body = self._refused(REQUESTS[surface]) if surface in REQUESTS else self._rng.randbytes(1)
        return proposal(protocol) + self._malformer.request(body)

    def _refused(self, kind: str) -> bytes:
        return self._malformer.refused(self._examples[kind], self._decoders[kind])


async def _end(stream: YamuxStream) -> None:
    """Say that nothing follows, and wait until the other end is through with it."""
    await stream.close()
    with trio.fail_after(PATIENCE_S), suppress(MuxedStreamError):
        while True:
            await stream.read()
