"""Frames: bounded before they are read, whole however the network cuts them up."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from peer.errors import ProtocolError
from peer.network.libp2p_framing import read_frame, write_last_frame
from peer.network.transport import Content


class Pipe:
    """A stream that hands out at most `segment` bytes a read, then ends."""

    def __init__(self, data: bytes = b"", *, segment: int = 1 << 30) -> None:
        self.data = bytearray(data)
        self.segment = segment
        self.asked: list[int] = []
        self.writes: list[Content] = []
        self.held = b""
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

    def hold(self, data: bytes) -> None:
        self.held += data

    async def write(self, data: Content, *, is_last: bool = False) -> None:
        assert not self.is_closed
        self.writes.append(data)
        self.data += self.held + data
        self.held = b""
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


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
async def test_frame_goes_out_in_one_piece_without_a_copy(size: int) -> None:
    pipe, data = Pipe(), memoryview(bytes(size))
    await write_last_frame(pipe, data)
    assert len(pipe.writes) == 1
    assert pipe.writes[0] is data
    assert len(await read_frame(pipe, max_bytes=1 << 30)) == size


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
