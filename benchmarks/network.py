"""Time the network layer over loopback: pulling blobs, a small request, and a new connection's first message.

    python benchmarks/network.py                # a table
    python benchmarks/network.py --json         # every single figure
    python benchmarks/network.py --blob-mb 200 --repeats 20

Two processes, each with a libp2p transport as peers have it; the second holds the blobs. A pull counts from the first
request to the verified hash. Every figure is the median of the repeats, with the smallest and the largest beside it; a
first repeat that is not counted warms both ends up. CPU seconds are of both processes. What the network costs a swarm
that trains: benchmarks/network_share.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import trio

from benchmarks.machine import describe_machine
from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.network.libp2p_logging import quiet_libp2p_logging
from peer.network.libp2p_transport import Libp2pSettings, Libp2pTransport, open_libp2p_transport
from peer.services.blobs import pull_blob
from peer.services.uploads import Uploads
from peer.types import PeerId
from peer.wire.hashing import digest_of
from peer.wire.sync import BLOB_PROTOCOL

_SMALL_BYTES = 20_000
_HOLDER, _PULLER = Identity.for_tests(1), Identity.for_tests(2)
_REQUEST_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """seconds: of each repeat. cpu_s: of both processes in all repeats together. size: bytes moved in each, or None."""

    name: str
    seconds: list[float]
    cpu_s: float
    size: int | None

    def row(self) -> str:
        low, middle, high = min(self.seconds), statistics.median(self.seconds), max(self.seconds)
        cpu = self.cpu_s / len(self.seconds)
        text = (
            f"{self.name:32s} {middle * 1e3:9.2f} ms  ({low * 1e3:8.2f} to {high * 1e3:8.2f})  CPU {cpu * 1e3:8.2f} ms"
        )
        if self.size is None:
            return text
        rates = [self.size / 1e6 / seconds for seconds in (middle, high, low)]
        return f"{text}  {rates[0]:6.1f} MB/s  ({rates[1]:6.1f} to {rates[2]:6.1f})"


def blob_of(size: int) -> bytes:
    """Return `size` bytes that no layer could compress; both processes make the same."""
    block = bytes((n * n * 31 + n * 7) % 251 for n in range(65_521))
    return (block * (size // len(block) + 1))[:size]


def open_peer(identity: Identity) -> AbstractAsyncContextManager[Libp2pTransport]:
    return open_libp2p_transport(Libp2pSettings(run_id="bench", listen_address="/ip4/127.0.0.1/tcp/0"), identity)


async def hold(sizes: list[int]) -> None:
    """Serve blobs of these sizes until standard input ends."""
    blobs = {digest_of(blob): blob for blob in map(blob_of, sizes)}

    async def echo(_peer: PeerId, data: bytes) -> bytes:
        return data

    async with open_peer(_HOLDER) as transport:
        transport.handle_download(BLOB_PROTOCOL, Uploads(blobs.get).serve)
        transport.handle("echo/1", echo)
        print(transport.listen_addresses[0], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)


class Bench:
    """Everything is measured from the puller's side."""

    def __init__(self, transport: Libp2pTransport, address: str, *, repeats: int, holder: int) -> None:
        self._transport = transport
        self._address = address
        self._repeats = repeats
        self._holder = holder

    async def pull(self, name: str, size: int) -> Figure:
        blob = digest_of(blob_of(size))

        async def once() -> None:
            pulled = await pull_blob(
                self._transport, blob, size=size, holders=[_HOLDER.peer_id], request_s=_REQUEST_S, refuse=unexpected
            )
            assert pulled is not None, "the holder did not serve the blob"

        return await self._measure(name, once, size=size)

    async def round_trip(self) -> Figure:
        async def once() -> None:
            await self._transport.request(_HOLDER.peer_id, "echo/1", b"?")

        return await self._measure("request of 1 byte", once)

    async def first_message(self) -> Figure:
        """A new connection each time: dial, handshakes, and the answer to the first request."""

        async def once() -> None:
            await self._transport.connect(self._address)
            await self._transport.request(_HOLDER.peer_id, "echo/1", b"?")

        async def part() -> None:
            await self._transport.disconnect(_HOLDER.peer_id)
            await trio.sleep(0.5)  # let both ends finish with the old connection

        return await self._measure("connect to first message", once, between=part)

    async def _measure(
        self,
        name: str,
        once: Callable[[], Awaitable[None]],
        *,
        size: int | None = None,
        between: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> Figure:
        await between()
        await once()
        seconds, cpu = [], 0.0
        for _ in range(self._repeats):
            await between()
            used, start = self._cpu_s(), time.perf_counter()
            await once()
            seconds.append(time.perf_counter() - start)
            cpu += self._cpu_s() - used
        return Figure(name=name, seconds=seconds, cpu_s=cpu, size=size)

    def _cpu_s(self) -> float:
        return time.process_time() + cpu_s_of(self._holder)


def cpu_s_of(process: int) -> float:
    """Return the CPU seconds that a process has used, from Linux's /proc; it counts in ticks of 10 ms."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def unexpected(peer: PeerId, error: ProtocolError) -> None:
    raise AssertionError(f"{peer} was blamed: {error}")


async def measure(address: str, sizes: list[int], *, repeats: int, holder: int) -> list[Figure]:
    async with open_peer(_PULLER) as transport:
        bench = Bench(transport, address, repeats=repeats, holder=holder)
        await transport.connect(address)
        figures = [await bench.pull(f"pull of {size / 1e6:g} MB", size) for size in sizes]
        return [*figures, await bench.round_trip(), await bench.first_message()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blob-mb", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=9, help="at least 5, so that a median means something")
    parser.add_argument("--json", action="store_true", help="all seconds of all repeats")
    parser.add_argument("--hold", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    quiet_libp2p_logging()
    sizes = [arguments.blob_mb * 1_000_000, _SMALL_BYTES]
    if arguments.hold:
        trio.run(hold, sizes)
        return 0
    command = [sys.executable, __file__, "--hold", "--blob-mb", str(arguments.blob_mb)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        address = holder.stdout.readline().strip()

        async def run() -> list[Figure]:
            return await measure(address, sizes, repeats=max(5, arguments.repeats), holder=holder.pid)

        figures = trio.run(run)
        holder.communicate()
    report(figures, as_json=arguments.json)
    return 0


def report(figures: list[Figure], *, as_json: bool) -> None:
    if as_json:
        rows = [{"name": f.name, "seconds": f.seconds, "cpu_s": f.cpu_s, "bytes": f.size} for f in figures]
        print(json.dumps({"machine": describe_machine(), "figures": rows}, indent=1))
        return
    print(describe_machine())
    for figure in figures:
        print(figure.row())


if __name__ == "__main__":
    raise SystemExit(main())
