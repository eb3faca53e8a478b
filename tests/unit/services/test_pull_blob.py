"""Pulling a blob from holders of which some die, lie, stall or lack it."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from peer.errors import ProtocolError
from peer.network.memory_network import LinkProfile, MemoryNetwork, fixed_latency
from peer.network.memory_transport import open_memory_transport
from peer.services.blobs import blob_handler, pull_blob
from peer.types import Digest, PeerId
from peer.wire.hashing import digest_of
from peer.wire.limits import BLOB_CHUNK_BYTES
from peer.wire.sync import BLOB_PROTOCOL, BlobRequest, BlobResponse, decode, encode
from tests.unit.services.scripted_transport import Answer, ScriptedTransport, is_broken, is_silent

BLOB = bytes(range(256)) * 4096  # 1 MiB: four chunks
NAME = digest_of(BLOB)
GOOD, BAD, OTHER = PeerId("good"), PeerId("bad"), PeerId("other")


def holder(blob: bytes = BLOB, *, chunks: int = 1000, after: Answer = is_broken) -> Answer:
    """Serve `chunks` chunks of `blob`, whatever it is asked for, and do `after` from then on."""
    served = 0

    async def answer(protocol: str, data: bytes) -> bytes:
        nonlocal served
        await trio.lowlevel.checkpoint()
        asked = decode(data, BlobRequest)
        if served == chunks:
            return await after(protocol, data)
        served += 1
        return encode(BlobResponse(blob[asked.offset : asked.offset + asked.length]))

    return answer


def answers(make: Callable[[BlobRequest], bytes]) -> Answer:
    async def answer(_protocol: str, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return make(decode(data, BlobRequest))

    return answer


class Pull:
    """One pull from the holders given, in order. blamed: whom it reported, and why."""

    def __init__(self, *holders: tuple[PeerId, Answer]) -> None:
        self.transport = ScriptedTransport()
        self.order = [peer for peer, _ in holders]
        for peer, answer in holders:
            self.transport.joins(peer)
            self.transport.answers[peer] = answer
        self.blamed: list[tuple[PeerId, str]] = []

    async def __call__(self, *, size: int = len(BLOB)) -> bytes | None:
        return await pull_blob(self.transport, NAME, size=size, holders=self.order, request_s=5.0, refuse=self._refuse)

    def offsets(self, peer: PeerId) -> list[int]:
        """Return, in chunks, where each request to `peer` began."""
        asked = [decode(data, BlobRequest).offset for _, to, _, data in self.transport.requests if to == peer]
        return [offset // BLOB_CHUNK_BYTES for offset in asked]

    def _refuse(self, peer: PeerId, error: ProtocolError) -> None:
        self.blamed.append((peer, error.reason))


async def test_one_good_holder_serves_it_in_chunks() -> None:
    pull = Pull((GOOD, holder()), (OTHER, is_silent))
    assert await pull() == BLOB
    assert pull.offsets(GOOD) == [0, 1, 2, 3]
    assert pull.offsets(OTHER) == []


async def test_no_holders_give_nothing() -> None:
    assert await Pull()() is None


async def test_a_holder_that_dies_is_continued_at_the_next() -> None:
    pull = Pull((BAD, holder(chunks=2)), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.offsets(BAD) == [0, 1, 2]
    assert pull.offsets(GOOD) == [2, 3]
    assert pull.blamed == []


async def test_a_holder_that_stalls_costs_one_deadline(autojump_clock: MockClock) -> None:
    pull = Pull((BAD, holder(chunks=1, after=is_silent)), (GOOD, holder()))
    assert await pull() == BLOB
    assert trio.current_time() == pytest.approx(5.0, abs=0.01)
    assert pull.offsets(GOOD) == [1, 2, 3]


async def test_a_holder_without_it_is_passed_over() -> None:
    pull = Pull((OTHER, answers(lambda _: encode(BlobResponse(None)))), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.blamed == []


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        ("blob_length", lambda asked: encode(BlobResponse(bytes(asked.length - 1)))),
        ("blob_length", lambda _: encode(BlobResponse(b"x"))),
        ("blob_length", lambda _: encode(BlobResponse(b""))),
        ("malformed", lambda _: b"\xc1 no message"),
        ("malformed", lambda _: b""),
        ("oversize", lambda _: bytes(BLOB_CHUNK_BYTES + 1000)),
    ],
)
async def test_bad_answers_are_blamed_on_who_gave_them(reason: str, make: Callable[[BlobRequest], bytes]) -> None:
    pull = Pull((BAD, answers(make)), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.blamed == [(BAD, reason)]
    assert pull.offsets(BAD) == [0]  # a liar is not asked twice: byte by byte it would hold the pull up for ever


async def test_more_than_was_asked_for_is_refused() -> None:
    pull = Pull((BAD, answers(lambda asked: encode(BlobResponse(bytes(asked.length + 1))))), (GOOD, holder()))
    assert await pull(size=1000) is None  # of another size than declared: not this blob
    assert (BAD, "blob_length") in pull.blamed


async def test_wrong_bytes_are_blamed_and_the_next_starts_afresh() -> None:
    pull = Pull((BAD, holder(bytes(len(BLOB)))), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.blamed == [(BAD, "payload_hash")]
    assert pull.offsets(GOOD) == [0, 1, 2, 3]


async def test_a_liar_that_leaves_in_the_middle_cannot_spoil_the_only_good_holder() -> None:
    pull = Pull((BAD, holder(bytes(len(BLOB)), chunks=3)), (GOOD, holder()))
    assert await pull() == BLOB
    assert pull.offsets(GOOD) == [3, 0, 1, 2, 3]
    assert pull.blamed == []  # nobody knows which of the two it was


async def test_only_liars_give_nothing_in_finite_time() -> None:
    pull = Pull((BAD, holder(bytes(len(BLOB)), chunks=3)), (OTHER, holder(b"x" * len(BLOB))))
    assert await pull() is None
    assert pull.blamed == [(OTHER, "payload_hash")]


async def test_a_holder_serves_what_it_finds_and_no_more() -> None:
    handler = blob_handler({NAME: BLOB}.get)

    async def ask(blob: Digest, offset: int, length: int) -> bytes | None:
        return decode(await handler(GOOD, encode(BlobRequest(blob, offset, length))), BlobResponse).data

    assert await ask(NAME, 10, 20) == BLOB[10:30]
    assert await ask(NAME, len(BLOB) - 5, 100) == BLOB[-5:]
    assert await ask(NAME, len(BLOB) + 5, 100) == b""
    assert await ask(digest_of(b"another"), 0, 100) is None
    with pytest.raises(ProtocolError, match="malformed"):
        await handler(GOOD, b"\x00\x01")
    with pytest.raises(ProtocolError, match="oversize"):
        await handler(GOOD, bytes(1000))


async def test_a_holder_that_crashes_in_the_middle_is_continued_over_a_network(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(1, profile=LinkProfile(latency=fixed_latency(0.01), bytes_per_s=1e6))
    names = [PeerId("a"), PeerId("b"), PeerId("puller")]
    async with trio.open_nursery() as nursery:

        async def serve(peer: PeerId) -> None:
            async with open_memory_transport(network, peer, f"/memory/{peer}") as transport:
                transport.handle(BLOB_PROTOCOL, blob_handler({NAME: BLOB}.get))
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
            assert trio.current_time() - started < 2.0  # 1.05 s of transfer, a lost chunk, 0.3 s to notice the crash
        nursery.cancel_scope.cancel()


def unexpected(peer: PeerId, error: ProtocolError) -> None:
    raise AssertionError(f"{peer} was blamed: {error}")
