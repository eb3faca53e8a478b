"""Pulling a blob from holders of which some die, lie, stall or lack it."""

import itertools
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
import trio
from trio.testing import MockClock

from peer.errors import ProtocolError, TransportError
from peer.network.memory_network import LinkProfile, MemoryNetwork, fixed_latency
from peer.network.memory_transport import open_memory_transport
from peer.network.transport import Content
from peer.services.blobs import pull_blob
from peer.services.uploads import Uploads
from peer.types import PeerId
from peer.wire.hashing import digest_of
from peer.wire.limits import BLOB_PROGRESS_BYTES
from peer.wire.sync import BLOB_PROTOCOL, BlobRequest, decode
from tests.unit.services.scripted_transport import Holder, ScriptedTransport

BLOB = bytes(range(256)) * 4096  # 1 MiB: four parts
PART = 256 * 1024
NAME = digest_of(BLOB)
GOOD, BAD, OTHER = PeerId("good"), PeerId("bad"), PeerId("other")


def holder(blob: bytes = BLOB, *, parts: int = 1000, then: Callable[[], object] = lambda: None) -> Holder:
    """Serve `parts` parts of `blob`, whatever it is asked for, and do `then` instead of the next."""
    served = 0

    async def serve(data: bytes, take: Callable[[Content], object]) -> None:
        nonlocal served
        asked = decode(data, BlobRequest)
        content = memoryview(blob)[asked.offset : asked.offset + asked.length]
        for start in range(0, len(content), PART):
            await trio.lowlevel.checkpoint()
            if served == parts:
                then()
                await trio.sleep_forever()
            served += 1
            take(content[start : start + PART])

    return serve


def breaks() -> None:
    raise TransportError("reset")


def stalls() -> None:
    """Do nothing: the holder sleeps from now on."""


async def lacks_it(_data: bytes, _take: Callable[[Content], object]) -> None:
    await trio.lowlevel.checkpoint()


class Pull:
    """One pull from the holders given, in order. blamed: whom it reported, and why."""

    def __init__(self, *holders: tuple[PeerId, Holder]) -> None:
        self.transport = ScriptedTransport()
        self.order = [peer for peer, _ in holders]
        for peer, serve in holders:
            self.transport.joins(peer)
            self.transport.holders[peer] = serve
        self.blamed: list[tuple[PeerId, str]] = []

    async def __call__(self, *, size: int = len(BLOB)) -> bytes | None:
        return await pull_blob(self.transport, NAME, size=size, holders=self.order, request_s=5.0, refuse=self._refuse)

    def ranges(self, peer: PeerId) -> list[tuple[int, int]]:
        """Return, in parts, which range each request to `peer` asked for."""
        asked = [decode(data, BlobRequest) for to, data, _ in self.transport.downloads if to == peer]
        return [(request.offset // PART, (request.offset + request.length) // PART) for request in asked]

    def _refuse(self, peer: PeerId, error: ProtocolError) -> None:
        self.blamed.append((peer, error.reason))


async def test_one_good_holder_serves_all_of_it_for_one_request() -> None:
    pull = Pull((GOOD, holder()), (OTHER, holder()))
    assert await pull() == BLOB
    assert pull.ranges(GOOD) == [(0, 4)]
    assert pull.ranges(OTHER) == []


def in_parts(sizes: Iterator[int]) -> Holder:
    """Serve BLOB in parts of these sizes."""

    async def serve(_data: bytes, take: Callable[[Content], object]) -> None:
        await trio.lowlevel.checkpoint()
        start = 0
        while start < len(BLOB):
            end = start + next(sizes)
            take(memoryview(BLOB)[start:end])
            start = end

    return serve


async def test_parts_of_any_size_make_the_blob() -> None:
    assert await Pull((GOOD, in_parts(itertools.cycle((1, 65_507, 300, 31_000, 2_000, 40_000, 40_000)))))() == BLOB


async def test_a_blob_that_comes_in_tiny_parts_takes_little_more_than_its_size() -> None:
    pull = Pull((GOOD, in_parts(itertools.repeat(10))))
    tracemalloc.start()
    try:
        assert await pull() == BLOB
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * len(BLOB)


async def test_no_holders_give_nothing() -> None:
    assert await Pull()() is None


async def test_a_holder_that_dies_is_continued_at_the_next() -> None:
    pull = Pull((BAD, holder(parts=2, then=breaks)), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.ranges(BAD) == [(0, 4)]
    assert pull.ranges(GOOD) == [(2, 4)]
    assert pull.blamed == []


async def test_no_more_is_taken_than_is_missing() -> None:
    pull = Pull((BAD, holder(parts=2, then=breaks)), (GOOD, holder()))
    await pull()
    assert [most for _, _, most in pull.transport.downloads] == [len(BLOB), len(BLOB) - 2 * PART]


async def test_a_holder_that_stalls_costs_one_deadline(autojump_clock: MockClock) -> None:
    pull = Pull((BAD, holder(parts=1, then=stalls)), (GOOD, holder()))
    assert await pull() == BLOB
    assert trio.current_time() == pytest.approx(5.0, abs=0.01)
    assert pull.ranges(GOOD) == [(1, 4)]


def slow(part_bytes: int, pause_s: float) -> Holder:
    async def serve(data: bytes, take: Callable[[Content], object]) -> None:
        asked = decode(data, BlobRequest)
        for start in range(asked.offset, asked.offset + asked.length, part_bytes):
            await trio.sleep(pause_s)
            take(BLOB[start : start + part_bytes])

    return serve


async def test_a_slow_holder_that_makes_progress_may_take_longer_than_one_deadline(autojump_clock: MockClock) -> None:
    pull = Pull((GOOD, slow(BLOB_PROGRESS_BYTES, pause_s=4.0)))
    assert await pull() == BLOB
    assert trio.current_time() == pytest.approx(16.0, abs=0.01)


async def test_a_holder_that_sends_a_little_at_a_time_is_left_all_the_same(autojump_clock: MockClock) -> None:
    pull = Pull((BAD, slow(1000, pause_s=4.0)), (GOOD, holder()))
    assert await pull() == BLOB
    assert trio.current_time() == pytest.approx(5.0, abs=0.01)


async def test_a_holder_without_it_is_passed_over() -> None:
    pull = Pull((OTHER, lacks_it), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.blamed == []


@pytest.mark.parametrize("sent", [1, PART, len(BLOB) - 1])
async def test_a_part_of_what_was_asked_for_is_blamed_and_continued(sent: int) -> None:
    async def serve(_data: bytes, take: Callable[[Content], object]) -> None:
        await trio.lowlevel.checkpoint()
        take(BLOB[:sent])

    pull = Pull((BAD, serve), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.blamed == [(BAD, "blob_length")]


async def test_wrong_bytes_are_blamed_and_the_next_starts_afresh() -> None:
    pull = Pull((BAD, holder(bytes(len(BLOB)))), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.blamed == [(BAD, "payload_hash")]
    assert pull.ranges(GOOD) == [(0, 4)]


async def test_a_liar_that_leaves_in_the_middle_cannot_spoil_the_only_good_holder() -> None:
    pull = Pull((BAD, holder(bytes(len(BLOB)), parts=3, then=breaks)), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.ranges(GOOD) == [(3, 4), (0, 4)]
    assert pull.blamed == []  # nobody knows which of the two it was


async def test_only_liars_give_nothing_in_finite_time() -> None:
    pull = Pull((BAD, holder(bytes(len(BLOB)), parts=3, then=breaks)), (OTHER, holder(b"x" * len(BLOB))))
    assert await pull() is None
    assert pull.blamed == [(OTHER, "payload_hash")]


async def test_a_holder_that_crashes_in_the_middle_is_continued_over_a_network(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1, profile=LinkProfile(latency=fixed_latency(0.01), bytes_per_s=1e6))
    names = [PeerId("a"), PeerId("b"), PeerId("puller")]
    async with trio.open_nursery() as nursery:

        async def serve(peer: PeerId) -> None:
            async with open_memory_transport(network, peer, f"/memory/{peer}") as transport:
                transport.handle_download(BLOB_PROTOCOL, Uploads({NAME: BLOB}.get).serve)
                await trio.sleep_forever()

        for name in names[:2]:
            nursery.start_soon(serve, name)
        await trio.sleep(0.1)
        async with open_memory_transport(network, names[2], "/memory/puller") as transport:
            for name in names[:2]:
                await transport.connect(f"/memory/{name}")

            async def crash_later() -> None:
                await trio.sleep(0.6)
                network.crash(names[0])

            nursery.start_soon(crash_later)
            started = trio.current_time()
            pulled = await pull_blob(
                transport, NAME, size=len(BLOB), holders=names[:2], request_s=5.0, refuse=unexpected
            )
            assert pulled == BLOB
            assert trio.current_time() - started < 2.0  # 1.05 s of transfer, a lost part, 0.3 s to notice the crash
        nursery.cancel_scope.cancel()


def unexpected(peer: PeerId, error: ProtocolError) -> None:
    raise AssertionError(f"{peer} was blamed: {error}")
