"""A real process that others make hold what they can: it holds no more than docs/limits.md adds up."""

import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio
from libp2p.custom_types import TProtocol

from peer.config.load import load_config
from peer.network.budget import LEFT_TO_EACH_BYTES, MAX_HELD_BYTES, MAX_HELD_FOR_ONE_BYTES
from peer.network.gossip import MAX_KEPT_BYTES
from peer.network.gossip_frames import Kind, encode_message, encode_names, message_id
from peer.network.identity import Identity
from peer.network.libp2p_connector import MAX_HANDSHAKES
from peer.network.libp2p_framing import header
from peer.network.libp2p_negotiation import proposal
from peer.network.libp2p_outbox import OUTBOUND_BYTES
from peer.network.libp2p_requests import PROTOCOL_PREFIX
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.libp2p_yamux import MAX_UNREAD_BYTES
from peer.network.transport import MAX_GOSSIP_BYTES, MAX_MESSAGE_BYTES
from peer.round_parts import wire_run_id
from peer.wire.messages import announcement
from peer.wire.sync import SYNC_PROTOCOL
from tests.fuzz.hostile_peer import BROKEN, HostilePeer, be_hostile, open_socket_from_anywhere
from tests.process.murmur import START_S, Murmur, MurmurProcess, port_of

MIB = 1 << 20
SECONDS = 15.0
RUN = wire_run_id(load_config([], {}, []))
_DEFAULTS = Libp2pSettings(run_id="")


def ceiling_bytes(*, peers: int) -> int:
    """Return what so many peers can make another hold, as docs/limits.md adds it up."""
    connection = MIB // 2 + 2 * _DEFAULTS.max_peer_streams * 4096
    of_each = MAX_UNREAD_BYTES + OUTBOUND_BYTES + LEFT_TO_EACH_BYTES + connection
    return min(MAX_HELD_BYTES, peers * MAX_HELD_FOR_ONE_BYTES) + peers * of_each


def gossip_ceiling_bytes() -> int:
    """Return what gossip can make a peer hold, whoever it comes from."""
    return _DEFAULTS.gossip_queue * MAX_GOSSIP_BYTES + MAX_KEPT_BYTES + 16 * MIB


def handshake_ceiling_bytes() -> int:
    return MAX_HANDSHAKES * MIB // 8


class MemoryWatch:
    """Keeps the most that a process has held, while the block lasts."""

    def __init__(self, process: MurmurProcess) -> None:
        self._path = Path(f"/proc/{process.pid}/statm")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = self.most = self._now()

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _now(self) -> int:
        return int(self._path.read_text().split()[1]) * 4096

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.most = max(self.most, self._now())


async def hold_half_sent_requests(peer: HostilePeer) -> None:
    """Announce the largest request on as many streams as are allowed, send all of it but a byte, and wait."""
    data = (
        proposal(TProtocol(PROTOCOL_PREFIX + SYNC_PROTOCOL)) + header(MAX_MESSAGE_BYTES) + bytes(MAX_MESSAGE_BYTES - 1)
    )
    await on_many_streams(peer, data)


async def leave_bytes_unread(peer: HostilePeer) -> None:
    """Send a request that waits for nothing but its turn, and a window full behind it."""
    data = proposal(TProtocol(PROTOCOL_PREFIX + SYNC_PROTOCOL)) + header(1) + b"\x00" + bytes(200_000)
    await on_many_streams(peer, data)


async def on_many_streams(peer: HostilePeer, data: bytes) -> None:
    async def send() -> None:
        with suppress(*BROKEN):
            stream = await peer.muxed.open_stream()
            await stream.write(data)
            await peer.ended.wait()

    async with trio.open_nursery() as nursery:
        while not peer.ended.is_set():
            for _ in range(50):
                nursery.start_soon(send)
            await trio.sleep(0.25)


async def flood_gossip(peer: HostilePeer) -> None:
    """Publish messages of the largest size that look like announcements, and ask for all of them back, unread."""
    rng = random.Random(peer.muxed.peer_id.to_base58())
    stream = await peer.muxed.open_stream()
    await stream.write(proposal(peer.gossip_protocol))
    while True:
        messages = [announcement(rng.randbytes(1000), rng.randbytes(48_000)) for _ in range(10)]
        await stream.write(b"".join(map(encode_message, messages)))
        await stream.write(encode_names(Kind.WANT, [message_id(message) for message in messages]))
        await trio.sleep(0.02)


Deed = Callable[[HostilePeer], Awaitable[None]]


async def attack(port: int, deeds: Sequence[Deed], *, handshakes: bool = False) -> Counter[str]:
    """Have one peer do each of `deeds` at once for a while, anew under another name when it is sent away; return how
    often each was begun. handshakes: hold connections that say nothing, too."""
    rng = random.Random(20260307)
    begun: Counter[str] = Counter()

    async def attack_as(number: int, deed: Deed) -> None:
        while True:
            begun[deed.__name__] += 1
            identity = Identity.for_tests(1000 * number + begun.total())
            with suppress(*BROKEN):
                await be_hostile(port, identity, rng, deed, run=RUN)
            await trio.sleep(0.1)

    async def hold_handshakes() -> None:
        held = []
        while True:
            with suppress(OSError):
                held.append(await open_socket_from_anywhere(port, rng))
            await trio.sleep(0.02)

    with trio.move_on_after(SECONDS):
        async with trio.open_nursery() as nursery:
            if handshakes:
                nursery.start_soon(hold_handshakes)
            for number, deed in enumerate(deeds, 1):
                nursery.start_soon(attack_as, number, deed)
    return begun


def test_memory_stays_below_what_the_limits_add_up_to_whatever_others_do(murmur: Murmur) -> None:
    victim = murmur.peer("victim")
    other = murmur.peer("other", meet=[victim])
    victim.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    streams = [hold_half_sent_requests, hold_half_sent_requests, leave_bytes_unread]
    gossip = [flood_gossip, flood_gossip]
    for deeds, allowed in (
        (streams, ceiling_bytes(peers=len(streams) + 1)),
        (gossip, ceiling_bytes(peers=len(gossip) + 1) + gossip_ceiling_bytes() + handshake_ceiling_bytes()),
    ):
        with MemoryWatch(victim) as memory:
            begun = trio.run(partial(attack, port_of(victim), deeds, handshakes=deeds is gossip))
        assert set(begun) == {deed.__name__ for deed in deeds}
        grown = memory.most - memory.before
        print(f"{begun}: {grown / MIB:.0f} of {allowed / MIB:.0f} MiB")  # noqa: T201  # pytest shows it of a failed test
        assert grown <= allowed
    seen = len(victim.events)
    victim.wait_for("round_sealed", after=seen, within_s=START_S)
    assert "Traceback" not in victim.output
    assert victim.stop() == other.stop() == 0
