"""Frames of gossip: whatever pieces they come in, and whatever else comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.errors import ProtocolError
from peer.network.gossip_frames import (
    MAX_NAMES,
    MAX_WANTED,
    Frame,
    FrameReader,
    Kind,
    MessageId,
    encode_message,
    encode_names,
)
from peer.network.transport import MAX_GOSSIP_BYTES

names = st.lists(st.binary(min_size=16, max_size=16).map(MessageId), min_size=1, max_size=MAX_WANTED)
frames = st.one_of(
    st.binary(max_size=300).map(lambda data: Frame(Kind.MESSAGE, data)),
    st.tuples(st.sampled_from([Kind.HAVE, Kind.WANT]), names).map(lambda pair: Frame(pair[0], b"".join(pair[1]))),
)


def encode(frame: Frame) -> bytes:
    return encode_message(frame.body) if frame.kind is Kind.MESSAGE else encode_names(frame.kind, frame.names())


@given(st.lists(frames, max_size=8), st.lists(st.integers(min_value=1, max_value=200), min_size=1))
def test_frames_arrive_whole_in_whatever_pieces(sent: list[Frame], sizes: list[int]) -> None:
    data, reader, received, turn = b"".join(map(encode, sent)), FrameReader(), [], 0
    while data:
        size = sizes[turn % len(sizes)]
        received += list(reader.feed(data[:size]))
        data, turn = data[size:], turn + 1
    assert received == sent


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_or_wait_for_more(data: bytes) -> None:
    received: list[Frame] = []
    try:
        received.extend(FrameReader().feed(data))
    except ProtocolError as error:
        reason = error.reason
    else:
        reason = "frame_malformed"
    assert reason in ("frame_too_large", "frame_malformed")
    assert data.startswith(b"".join(map(encode, received)))


@pytest.mark.parametrize(
    ("kind", "most"), [(Kind.MESSAGE, MAX_GOSSIP_BYTES), (Kind.HAVE, 16 * MAX_NAMES), (Kind.WANT, 16 * MAX_WANTED)]
)
def test_too_long_a_frame_is_refused_by_its_header_alone(kind: Kind, most: int) -> None:
    assert list(FrameReader().feed(most.to_bytes(4, "big") + bytes([kind]))) == []
    with pytest.raises(ProtocolError) as caught:
        list(FrameReader().feed((most + 1).to_bytes(4, "big") + bytes([kind])))
    assert caught.value.reason == "frame_too_large"


@pytest.mark.parametrize("header", [b"\0\0\0\1\0", b"\0\0\0\1\4", b"\0\0\0\0\2", b"\0\0\0\x11\3"], ids=repr)
def test_frames_that_are_none_are_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        list(FrameReader().feed(header))
    assert caught.value.reason == "frame_malformed"


def test_frames_before_a_bad_one_count() -> None:
    frames = FrameReader().feed(encode_message(b"good") + b"\xff" * 5)
    assert next(frames) == Frame(Kind.MESSAGE, b"good")
    with pytest.raises(ProtocolError):
        next(frames)


@pytest.mark.parametrize(("names", "messages"), [(1, 1), (MAX_WANTED, 1), (MAX_WANTED + 1, 2), (MAX_NAMES, 16)])
def test_names_count_as_one_message_for_as_many_as_may_be_asked_for(names: int, messages: int) -> None:
    charged = Frame(Kind.HAVE, bytes(16 * names)).charged()
    assert (len(charged), sum(charged)) == (messages, 16 * names)


@pytest.mark.parametrize("size", [0, 100])
def test_a_message_counts_as_one(size: int) -> None:
    assert Frame(Kind.MESSAGE, bytes(size)).charged() == [size]
