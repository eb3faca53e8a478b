"""Pulls that take their turns: a slow one holds nobody up, and loses nothing by it."""

from collections.abc import Callable

import trio
from trio.testing import MockClock

from peer.errors import ProtocolError
from peer.network.transport import Content
from peer.services.blobs import pull_blob
from peer.services.pull_turns import MAX_PULLS, PullTurns
from peer.types import PeerId
from peer.wire.hashing import digest_of
from peer.wire.limits import BLOB_PROGRESS_BYTES
from peer.wire.sync import BlobRequest, decode
from tests.unit.services.scripted_transport import ScriptedTransport

REQUEST_S = 5.0
LARGE = bytes(range(256)) * (8 * BLOB_PROGRESS_BYTES // 256)
SMALL = b"small"
SLOW, QUICK = PeerId("slow"), PeerId("quick")


class Pulls:
    """Pulls by turns from a holder that is as slow as it may be, and one that is not, which has only SMALL."""

    def __init__(self) -> None:
        self.transport = ScriptedTransport()
        self.turns = PullTurns()
        self.ended: list[tuple[float, bytes | None]] = []
        self.offsets: list[int] = []
        self.pause_s = REQUEST_S - 0.1
        for peer, serve in ((SLOW, self._serve_slowly), (QUICK, self._serve_small)):
            self.transport.joins(peer)
            self.transport.holders[peer] = serve

    async def pull(self, blob: bytes, *holders: PeerId) -> None:
        async with self.turns.take() as turn:
            pulled = await pull_blob(
                self.transport,
                digest_of(blob),
                size=len(blob),
                holders=holders,
                request_s=REQUEST_S,
                refuse=self._refuse,
                turn=turn,
            )
        assert pulled in (blob, None)
        self.ended.append((trio.current_time(), pulled))

    async def _serve_slowly(self, data: bytes, take: Callable[[Content], object]) -> None:
        asked = decode(data, BlobRequest)
        self.offsets.append(asked.offset)
        for start in range(asked.offset, asked.offset + asked.length, BLOB_PROGRESS_BYTES):
            await trio.sleep(self.pause_s)
            take(memoryview(LARGE)[start : start + BLOB_PROGRESS_BYTES])

    async def _serve_small(self, data: bytes, take: Callable[[Content], object]) -> None:
        await trio.lowlevel.checkpoint()
        if decode(data, BlobRequest).length == len(SMALL):
            take(SMALL)

    def _refuse(self, peer: PeerId, error: ProtocolError) -> None:
        raise AssertionError(f"{peer} was blamed: {error}")


async def test_slow_holders_hold_a_pull_up_for_no_longer_than_a_request(autojump_clock: MockClock) -> None:
    pulls = Pulls()
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_PULLS):
            nursery.start_soon(pulls.pull, LARGE, SLOW)
        await trio.sleep(0.1)
        nursery.start_soon(pulls.pull, SMALL, QUICK)
    first_at, first = pulls.ended[0]
    assert first == SMALL
    assert first_at - start <= REQUEST_S
    assert [pulled for _, pulled in pulls.ended[1:]] == [LARGE] * MAX_PULLS
    assert BLOB_PROGRESS_BYTES in pulls.offsets  # whoever gave way went on where it was


async def test_slow_holder_is_asked_on_while_nobody_waits(autojump_clock: MockClock) -> None:
    pulls = Pulls()
    await pulls.pull(LARGE, SLOW, QUICK)
    assert pulls.ended[0][1] == LARGE
    assert pulls.offsets == [0]


async def test_pull_that_is_not_slow_keeps_its_turn(autojump_clock: MockClock) -> None:
    pulls = Pulls()
    pulls.pause_s = 1.0
    async with trio.open_nursery() as nursery:
        for _ in range(2 * MAX_PULLS):
            nursery.start_soon(pulls.pull, LARGE, SLOW)
    assert pulls.offsets == [0] * (2 * MAX_PULLS)


async def test_holders_that_send_nothing_make_a_pull_give_way_between_them(autojump_clock: MockClock) -> None:
    pulls = Pulls()
    pulls.pause_s = 1000.0
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_PULLS):
            nursery.start_soon(pulls.pull, LARGE, SLOW, SLOW, SLOW)
        await trio.sleep(0.1)
        nursery.start_soon(pulls.pull, SMALL, QUICK)
    assert pulls.ended[0] == (start + REQUEST_S, SMALL)


async def test_cancelled_while_it_gives_way_a_pull_holds_no_turn(autojump_clock: MockClock) -> None:
    pulls = Pulls()
    async with trio.open_nursery() as nursery:
        for _ in range(2 * MAX_PULLS):
            nursery.start_soon(pulls.pull, LARGE, SLOW)
        await trio.sleep(7.0)
        nursery.cancel_scope.cancel()
    await pulls.pull(SMALL, QUICK)
    assert pulls.ended == [(trio.current_time(), SMALL)]
