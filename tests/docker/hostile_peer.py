"""A program that attacks the peers of a network, built on our own wire code. Runs in a container of its own.

    python -m tests.docker.hostile_peer KIND [--target peer] [--port 4001] [--seconds 15]

Kinds without a handshake: garbage, connects, silent. Kinds as a libp2p peer of the run, with an identity of its own:
gossip, streams, oversized, nested. Prints what it did as one JSON object a line, so that a test sees that it did it.
"""

import argparse
import json
import os
import random
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from peer.network.libp2p_unused import leave_out_unused

leave_out_unused()  # before anything imports libp2p

import msgspec  # noqa: E402
import trio  # noqa: E402

from peer.config.load import load_config  # noqa: E402
from peer.errors import TransportError  # noqa: E402
from peer.network.key_file import load_or_create_identity  # noqa: E402
from peer.network.libp2p_transport import Libp2pTransport, open_libp2p_transport  # noqa: E402
from peer.network.transport import MAX_GOSSIP_BYTES, MAX_MESSAGE_BYTES  # noqa: E402
from peer.settings import transport_settings  # noqa: E402
from peer.types import PeerId  # noqa: E402
from peer.wire.messages import announcement  # noqa: E402
from peer.wire.sync import BLOB_PROTOCOL, CARD_PROTOCOL, SYNC_PROTOCOL  # noqa: E402

PROTOCOLS = (BLOB_PROTOCOL, CARD_PROTOCOL, SYNC_PROTOCOL)
MULTISTREAM = b"\x13/multistream/1.0.0\n"
MESSAGES_PER_S = 1000
CONNECTS = 500
SILENT = 100
STREAMS = 1000
_RNG = random.Random(20260204)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted([*RAW, *AS_PEER]))
    parser.add_argument("--target", default="peer")
    parser.add_argument("--port", type=int, default=4001)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    addresses = sorted({info[4][0] for info in socket.getaddrinfo(options.target, options.port, socket.AF_INET)})
    done: Counter[str] = Counter()
    _tell(options.kind, "attack_started", done)
    trio.run(_attack, options.kind, [str(each) for each in addresses], options.port, options.seconds, done)
    _tell(options.kind, "attack_ended", done)


async def _attack(kind: str, addresses: list[str], port: int, seconds: float, done: Counter[str]) -> None:
    with trio.move_on_after(seconds):
        if kind in RAW:
            async with trio.open_nursery() as nursery:
                for address in addresses:
                    nursery.start_soon(RAW[kind], address, port, done)
        else:
            async with _as_peer(addresses, port, done) as transport:
                await AS_PEER[kind](transport, done)
        await trio.sleep_forever()  # what is held open stays open until the time is over


def _tell(kind: str, event: str, done: Counter[str]) -> None:
    sys.stdout.write(json.dumps({"event": event, "time": "", "kind": kind, **done}) + "\n")
    sys.stdout.flush()


# --- strangers ----------------------------------------------------------------------------------------------------


async def garbage(address: str, port: int, done: Counter[str]) -> None:
    """Throw random bytes, some behind a beginning that is right."""
    while True:
        head = _RNG.choice([b"", MULTISTREAM, MULTISTREAM + b"\x07/noise\n", b"GET / HTTP/1.1\r\n\r\n"])
        with suppress(OSError, trio.BrokenResourceError, trio.TooSlowError):
            with trio.fail_after(5):
                async with await trio.open_tcp_stream(address, port) as stream:
                    await stream.send_all(head + _RNG.randbytes(_RNG.randrange(1, 65536)))
        done["sent"] += 1
        await trio.sleep(0.02)


async def connects(address: str, port: int, done: Counter[str]) -> None:
    await _hold(address, port, done, count=CONNECTS)


async def silent(address: str, port: int, done: Counter[str]) -> None:
    await _hold(address, port, done, count=SILENT)


async def _hold(address: str, port: int, done: Counter[str], *, count: int) -> None:
    """Open connections as fast as they are taken, and say nothing on them."""
    held = []
    for _ in range(count):
        try:
            held.append(await trio.open_tcp_stream(address, port))
            done["opened"] += 1
        except OSError:
            done["refused"] += 1
    await trio.sleep_forever()


# --- a peer of the run that never greets --------------------------------------------------------------------------


@asynccontextmanager
async def _as_peer(addresses: list[str], port: int, done: Counter[str]) -> AsyncIterator[Libp2pTransport]:
    config = load_config([], os.environ, ["network.port=0"])
    identity = load_or_create_identity(Path("/tmp/hostile.key"))
    async with open_libp2p_transport(transport_settings(config), identity) as transport:
        for address in addresses:
            with suppress(TransportError):
                await transport.connect(f"/ip4/{address}/tcp/{port}")
                done["connected"] += 1
        yield transport


async def gossip(transport: Libp2pTransport, done: Counter[str]) -> None:
    """Publish a thousand messages a second, each another one, that look like announcements at first sight."""
    while True:
        begun = trio.current_time()
        for _ in range(MESSAGES_PER_S // 20):
            with suppress(TransportError):
                await transport.publish(announcement(_RNG.randbytes(200), _RNG.randbytes(100)))
                done["sent"] += 1
        await trio.sleep(max(begun + 0.05 - trio.current_time(), 0.0))


async def streams(transport: Libp2pTransport, done: Counter[str]) -> None:
    """Open streams without end on all protocols at once."""
    async with trio.open_nursery() as nursery:
        for peer in transport.connected_peers():
            for index in range(STREAMS):
                nursery.start_soon(_ask_forever, transport, peer, PROTOCOLS[index % len(PROTOCOLS)], b"\x00", done)


async def oversized(transport: Libp2pTransport, done: Counter[str]) -> None:
    """Send the largest requests that the transport lets through, and gossip at its bound, of bytes without meaning."""
    request, message = _RNG.randbytes(MAX_MESSAGE_BYTES), _RNG.randbytes(MAX_GOSSIP_BYTES - 1024)
    await _on_everything(transport, [request], message, done)


async def nested(transport: Libp2pTransport, done: Counter[str]) -> None:
    """Send arrays in arrays in arrays, deeper than any stack."""
    deep = b"\x91" * 50_000 + b"\xc0"
    await _on_everything(transport, [deep, msgspec.msgpack.encode([deep, deep])], announcement(deep, None), done)


async def _on_everything(transport: Libp2pTransport, requests: list[bytes], message: bytes, done: Counter[str]) -> None:
    async with trio.open_nursery() as nursery:
        for peer in transport.connected_peers():
            for protocol in PROTOCOLS:
                for data in requests:
                    nursery.start_soon(_ask_forever, transport, peer, protocol, data, done)
        while True:
            with suppress(TransportError):
                await transport.publish(message + _RNG.randbytes(8))
                done["sent"] += 1
            await trio.sleep(0.05)


async def _ask_forever(
    transport: Libp2pTransport, peer: PeerId, protocol: str, data: bytes, done: Counter[str]
) -> None:
    while True:
        with trio.move_on_after(5), suppress(TransportError):
            await transport.request(peer, protocol, data)
        done["sent"] += 1
        await trio.sleep(0.01)


RAW: dict[str, Callable[[str, int, Counter[str]], Awaitable[None]]] = {
    "garbage": garbage,
    "connects": connects,
    "silent": silent,
}
AS_PEER: dict[str, Callable[[Libp2pTransport, Counter[str]], Awaitable[None]]] = {
    "gossip": gossip,
    "streams": streams,
    "oversized": oversized,
    "nested": nested,
}

if __name__ == "__main__":
    main()
