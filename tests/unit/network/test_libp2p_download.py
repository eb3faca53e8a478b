"""Downloads over one connection: what takes the parts runs in the task that reads it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from libp2p.custom_types import TProtocol

from peer.network.libp2p_negotiation import proposal
from peer.network.libp2p_session import LENGTH_BYTES, MAC_BYTES
from peer.network.libp2p_yamux_stream import YamuxStream
from peer.types import PeerId
from tests.unit.network.loopback import PATIENCE_S, echo, open_peer, peer_id

SILENT = {"tell_s": 1000.0, "ping_interval_s": 1000.0}
"""What peers say of their own accord takes steps, too."""


class Steps(trio.abc.Instrument):
    """Counts the steps of one task, or of all."""

    def __init__(self, task: trio.lowlevel.Task | None = None) -> None:
        self.count = 0
        self._task = task

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # trio's signature
        self.count += self._task in (None, task)


async def test_download_that_its_taker_breaks_off_ends_alone() -> None:
    """What takes the parts runs in the task that reads the connection."""

    @asynccontextmanager
    async def blob(_peer: PeerId, _data: bytes) -> AsyncIterator[bytes]:
        yield bytes(1_000_000)

    def take(_part: object) -> None:
        raise OSError("no room")

    async with open_peer(1) as holder, open_peer(2) as puller:
        holder.handle_download("blob/1", blob)
        holder.handle("echo/1", echo)
        await puller.connect(holder.listen_addresses[0])
        with pytest.raises(OSError, match="no room"), trio.fail_after(PATIENCE_S):
            await puller.download(peer_id(1), "blob/1", b"", max_bytes=1_000_000, take=take)
        assert await puller.request(peer_id(1), "echo/1", b"x") == b"x"


async def test_parts_of_a_download_wake_nobody_but_the_reader_of_the_connection() -> None:
    """4 MB come in with a step of the waiting task for each half of the window, not for each part."""

    @asynccontextmanager
    async def blob(_peer: PeerId, _data: bytes) -> AsyncIterator[bytes]:
        yield bytes(4_000_000)

    taken: list[int] = []
    async with open_peer(1) as holder, open_peer(2) as puller:
        holder.handle_download("blob/1", blob)
        await puller.connect(holder.listen_addresses[0])
        steps = Steps(trio.lowlevel.current_task())
        trio.lowlevel.add_instrument(steps)
        try:
            with trio.fail_after(PATIENCE_S):
                await puller.download(
                    peer_id(1), "blob/1", b"", max_bytes=4_000_000, take=lambda part: taken.append(len(part))
                )
        finally:
            trio.lowlevel.remove_instrument(steps)
        assert sum(taken) == 4_000_000
        assert len(taken) > 50
        assert steps.count < 12


async def test_a_megabyte_comes_with_the_request_alone_and_in_few_steps() -> None:
    """The window is told with the request: no frame goes back meanwhile, and nobody waits for one."""

    @asynccontextmanager
    async def blob(_peer: PeerId, _data: bytes) -> AsyncIterator[bytes]:
        yield bytes(1_000_000)

    async with open_peer(1, **SILENT) as holder, open_peer(2, **SILENT) as puller:
        holder.handle_download("blob/1", blob)
        await puller.connect(holder.listen_addresses[0])
        await trio.sleep(0.1)  # until nothing else is said
        request = 2 * 12 + len(proposal(TProtocol("/murmur/blob/1"))) + 4
        counts = []
        for _ in range(10):
            sent = puller.counters()["bytes_sent"]
            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            try:
                await puller.download(peer_id(1), "blob/1", b"", max_bytes=1_000_000, take=len)
            finally:
                trio.lowlevel.remove_instrument(steps)
            assert puller.counters()["bytes_sent"] - sent == request + LENGTH_BYTES + MAC_BYTES
            counts.append(steps.count)
        assert min(counts) <= 6, counts  # 4; how many reads it takes, 10 and more at first, is the kernel's affair


@pytest.mark.parametrize(("max_bytes", "window_bytes"), [(1000, 1256), (1 << 30, 4 << 20)])
async def test_the_other_end_may_be_ahead_by_what_is_asked_for_or_four_mebibytes(
    max_bytes: int, window_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def blob(_peer: PeerId, _data: bytes) -> AsyncIterator[bytes]:
        yield b"x"

    windows: list[int] = []
    monkeypatch.setattr(YamuxStream, "widen", lambda _, window_bytes: windows.append(window_bytes))
    async with open_peer(1) as holder, open_peer(2) as puller:
        holder.handle_download("blob/1", blob)
        await puller.connect(holder.listen_addresses[0])
        windows.clear()
        await puller.download(peer_id(1), "blob/1", b"", max_bytes=max_bytes, take=len)
    assert windows == [window_bytes]
