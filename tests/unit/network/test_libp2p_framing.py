"""Frames: bounded before they are read, whole however the network cuts them up."""

from collections.abc import Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from libp2p.stream_muxer.exceptions import MuxedStreamEOF

from peer.errors import ProtocolError
from peer.network.libp2p_framing import SMALL_BYTES, read_frame, read_parts, write_last_frame
from peer.network.transport import Content


class Pipe:
    """A stream that hands out at most `segment` bytes a read, then ends."""

    def __init__(self, data: bytes = b"", *, segment: int = 1 << 30) -> None:
        self.data = bytearray(data)
        self.segment = segment
        self.asked: list[int] = []
        self.writes: list[int] = []
        self.is_closed = False

    async def read(self, n: int | None = None) -> bytes:
        assert n is not None
        self.asked.append(n)
        size = min(n, self.segment)
        head, self.data = bytes(self.data[:size]), self.data[size:]
        return head

    @property
    def has_unread(self) -> bool:
        return bool(self.data)

    async def pour(self, size: int, take: Callable[[Content], object]) -> None:
        while size:
            part = await self.read(size)
            if not part:
                raise MuxedStreamEOF
            size -= len(part)
            take(part)

    async def write(self, data: Content, *, is_last: bool = False) -> None:
        assert not self.is_closed
        self.writes.append(len(data))
        self.data += data
        self.is_closed = is_last


def round_trip(data: bytes, segment: int) -> bytes:
    async def run() -> bytes:
        pipe = Pipe(segment=segment)
        await write_last_frame(pipe, data)
        return await read_frame(pipe, max_bytes=len(data))

    return trio.run(run)


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_frame_survives_any_segmentation(data: bytes, segment: int) -> None:
    assert round_trip(data, segment) == data


def test_frame_in_ten_thousand_segments_arrives() -> None:
    """py-libp2p's `read_exactly` gives up after 100 partial reads."""
    data = bytes(range(250)) * 40
    assert round_trip(data, 1) == data


@pytest.mark.parametrize(("size", "writes"), [(0, 1), (SMALL_BYTES, 1), (SMALL_BYTES + 1, 2)])
async def test_small_frame_goes_out_in_one_piece_and_a_large_one_is_not_copied(size: int, writes: int) -> None:
    pipe = Pipe()
    await write_last_frame(pipe, memoryview(bytes(size)))
    assert len(pipe.writes) == writes
    assert len(await read_frame(pipe, max_bytes=1 << 30)) == size


async def test_parts_are_taken_as_they_come_up_to_the_size() -> None:
    taken: list[Content] = []
    await read_parts(Pipe(bytes(range(100)), segment=30), 100, taken.append)
    assert [len(part) for part in taken] == [30, 30, 30, 10]
    assert b"".join(taken) == bytes(range(100))


async def test_more_parts_than_announced_are_the_peers_mistake() -> None:
    with pytest.raises(ProtocolError) as caught:
        await read_parts(Pipe(bytes(101), segment=60), 100, len)
    assert caught.value.reason == "frame_too_large"


async def test_oversize_frame_is_refused_before_a_byte_of_it_is_read() -> None:
    pipe = Pipe((1001).to_bytes(4, "big") + bytes(1001))
    with pytest.raises(ProtocolError, match="at most 1000 bytes, announced 1001"):
        await read_frame(pipe, max_bytes=1000)
    assert pipe.asked == [4]


@pytest.mark.parametrize("sent", [b"", b"\x00", b"\x00\x00\x00", b"\x00\x00\x00\x05", b"\x00\x00\x00\x05abcd"])
async def test_truncated_frame_is_the_peers_mistake(sent: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        await read_frame(Pipe(sent), max_bytes=100)
    assert caught.value.reason == "frame_truncated"
