"""Frames are found however they are cut, and no more of them in one turn than others can wait for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.errors import ProtocolError
from peer.network.libp2p_yamux_frames import DATA, FRAMES_AT_ONCE, HEADER, PING, WINDOW_UPDATE, FrameReader

Header = tuple[int, int, int, int]


class Heard:
    """Frames with their data, put together again."""

    def __init__(self) -> None:
        self.frames: list[tuple[Header, bytes]] = []
        self.reader = FrameReader(self._begin, self._take)
        self._data = b""

    def _begin(self, kind: int, flags: int, stream: int, length: int) -> bool:
        has_data = kind == DATA and length > 0
        if has_data:
            self._header, self._data = (kind, flags, stream, length), b""
        else:
            self.frames.append(((kind, flags, stream, length), b""))
        return has_data

    def _take(self, part: memoryview, missing: int) -> None:
        self._data += part
        assert len(self._data) + missing == self._header[3]
        if not missing:
            self.frames.append((self._header, self._data))

    def feed(self, data: bytes) -> None:
        """Hand over one piece in as many turns as it takes."""
        self.reader.begin_turn()
        self.reader.take(memoryview(data))
        while self.reader.has_put_off:
            self.reader.begin_turn()
            self.reader.take_put_off()


def wire(frames: list[tuple[Header, bytes]]) -> bytes:
    return b"".join(HEADER.pack(0, *header) + data for header, data in frames)


def frame(kind: int, flags: int, stream: int, data: bytes) -> tuple[Header, bytes]:
    return (kind, flags, stream, len(data)), data if kind == DATA else b""


FRAMES = st.lists(
    st.builds(
        frame,
        st.sampled_from((DATA, WINDOW_UPDATE, PING)),
        st.integers(0, 15),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=40),
    ),
    max_size=3 * FRAMES_AT_ONCE,
)


@given(FRAMES, st.lists(st.integers(1, 60)))
def test_frames_are_the_same_however_they_are_cut(frames: list[tuple[Header, bytes]], cuts: list[int]) -> None:
    heard, rest = Heard(), wire(frames)
    for size in cuts:
        heard.feed(rest[:size])
        rest = rest[size:]
    heard.feed(rest)
    assert heard.frames == frames


def test_what_is_beyond_a_turn_waits_for_the_next_and_nothing_overtakes_it() -> None:
    heard, frames = Heard(), [frame(PING, 1, number, b"") for number in range(2 * FRAMES_AT_ONCE + 1)]
    heard.reader.begin_turn()
    heard.reader.take(memoryview(wire(frames[:-1])))
    heard.reader.take(memoryview(wire(frames[-1:])))
    assert heard.frames == frames[:FRAMES_AT_ONCE]
    heard.reader.begin_turn()
    heard.reader.take_put_off()
    assert heard.frames == frames[:-1]
    heard.feed(b"")
    assert heard.frames == frames


def test_frame_of_another_version_is_the_peers_mistake() -> None:
    heard = Heard()
    with pytest.raises(ProtocolError, match="frame of version 1"):
        heard.feed(HEADER.pack(1, PING, 1, 0, 0))
    assert heard.frames == []
