"""Downloads over one connection: what takes the parts runs in the task that reads it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from peer.errors import TransportError
from peer.types import PeerId
from tests.unit.network.loopback import PATIENCE_S, echo, open_peer, peer_id


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
        with pytest.raises(TransportError, match="no room"), trio.fail_after(PATIENCE_S):
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
        steps = 0

        class Count(trio.abc.Instrument):
            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                nonlocal steps
                steps += task is this

        this, count = trio.lowlevel.current_task(), Count()
        trio.lowlevel.add_instrument(count)
        try:
            with trio.fail_after(PATIENCE_S):
                await puller.download(
                    peer_id(1), "blob/1", b"", max_bytes=4_000_000, take=lambda part: taken.append(len(part))
                )
        finally:
            trio.lowlevel.remove_instrument(count)
        assert sum(taken) == 4_000_000
        assert len(taken) > 50
        assert steps < 12
