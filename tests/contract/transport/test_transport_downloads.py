"""Downloads: content of any size, taken as it comes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Content, Transport
from peer.types import PeerId
from tests.contract.transport.peers import PATIENCE_S, Peers, Shelf, connected_pair, echo, peer_id, until


def large(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def download(transport: Transport, size: int, *, max_bytes: int | None = None) -> bytes:
    received = bytearray()
    with trio.fail_after(PATIENCE_S):
        await transport.download(
            peer_id(2), "shelf/1", b"please", max_bytes=size if max_bytes is None else max_bytes, take=received.extend
        )
    return bytes(received)


@pytest.mark.parametrize("size", [0, 1, 65_536, 300_000, 5_000_000])
async def test_download_of_any_size_arrives_whole(clock: MockClock, peers: Peers, size: int) -> None:
    one, other = await connected_pair(peers)
    shelf = Shelf(memoryview(large(size)))
    other.handle_download("shelf/1", shelf.serve)
    assert await download(one, size) == large(size)
    await until(lambda: shelf.open == 0)


async def test_download_is_told_who_asks_and_for_what(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)

    @asynccontextmanager
    async def serve(peer: PeerId, data: bytes) -> AsyncIterator[Content]:
        await trio.lowlevel.checkpoint()
        yield peer.encode() + b":" + data

    other.handle_download("shelf/1", serve)
    assert await download(one, 1000) == peer_id(1).encode() + b":please"


async def test_download_above_the_bound_is_refused_before_any_of_it_is_taken(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    shelf = Shelf(large(2_000_000))
    other.handle_download("shelf/1", shelf.serve)
    taken: list[Content] = []
    with trio.fail_after(PATIENCE_S), pytest.raises(TransportError):
        await one.download(peer_id(2), "shelf/1", b"", max_bytes=1_999_999, take=taken.append)
    assert not taken
    assert one.counters()["frames_refused"] == 1
    await until(lambda: shelf.open == 0)


async def test_download_from_a_peer_that_vanishes_fails_with_what_came_before(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    content = large(20_000_000)
    other.handle_download("shelf/1", Shelf(content).serve)
    received, some = bytearray(), trio.Event()
    failures: list[TransportError] = []

    def take(part: Content) -> None:
        received.extend(part)
        some.set()

    async def ask() -> None:
        try:
            await one.download(peer_id(2), "shelf/1", b"", max_bytes=len(content), take=take)
        except TransportError as error:
            failures.append(error)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await some.wait()
            await peers.stop(2)
    assert len(failures) == 1
    assert content.startswith(received)


async def test_mistake_of_who_takes_a_download_is_told_as_it_is_and_ends_it(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    shelf = Shelf(large(2_000_000))
    other.handle_download("shelf/1", shelf.serve)
    parts = 0

    def take(part: Content) -> None:
        nonlocal parts
        parts += 1
        raise KeyError("a bug of the service")

    with trio.fail_after(PATIENCE_S), pytest.raises(KeyError, match="a bug of the service"):
        await one.download(peer_id(2), "shelf/1", b"", max_bytes=2_000_000, take=take)
    assert parts == 1
    await until(lambda: shelf.open == 0)


@pytest.mark.parametrize(("error", "counter"), [(RuntimeError, "handler_errors"), (ProtocolError, "protocol_errors")])
async def test_download_handler_that_raises_fails_its_download_and_nothing_else(
    clock: MockClock, peers: Peers, error: type[Exception], counter: str
) -> None:
    one, other = await connected_pair(peers)

    @asynccontextmanager
    async def fail(_peer: PeerId, _data: bytes) -> AsyncIterator[Content]:
        await trio.lowlevel.checkpoint()
        raise error("bad_thing", "refused")
        yield b""

    other.handle_download("shelf/1", fail)
    with pytest.raises(TransportError):
        await download(one, 1000)
    assert other.counters()[counter] == 1
    other.handle_download("shelf/1", Shelf(b"fine").serve)
    assert await download(one, 1000) == b"fine"


async def test_download_that_nobody_serves_fails(clock: MockClock, peers: Peers) -> None:
    one, _ = await connected_pair(peers)
    with pytest.raises(TransportError, match="shelf/1"):
        await download(one, 1000)
    with pytest.raises(TransportError, match="not connected"):
        await one.download(peer_id(9), "shelf/1", b"", max_bytes=1, take=len)


async def test_download_given_up_frees_the_holder_and_the_next_one_works(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    shelf = Shelf(large(20_000_000))
    other.handle_download("shelf/1", shelf.serve)
    with trio.CancelScope() as scope:
        await one.download(peer_id(2), "shelf/1", b"", max_bytes=20_000_000, take=lambda _part: scope.cancel())
    await until(lambda: shelf.open == 0)
    assert await download(one, 20_000_000) == large(20_000_000)


async def test_downloads_at_once_and_requests_beside_them_do_not_mix(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    other.handle("echo/1", echo)
    contents = {f"shelf-{n}/1": large(1_000_000 + n)[n:] for n in range(4)}
    for protocol, content in contents.items():
        other.handle_download(protocol, Shelf(content).serve)
    received = {protocol: bytearray() for protocol in contents}

    async def pull(protocol: str) -> None:
        await one.download(peer_id(2), protocol, b"", max_bytes=2_000_000, take=received[protocol].extend)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for protocol in contents:
                nursery.start_soon(pull, protocol)
            for _ in range(10):
                assert await one.request(peer_id(2), "echo/1", b"?") == peer_id(1).encode() + b":?"
    assert received == contents
