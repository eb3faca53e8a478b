"""Agreeing on a protocol, in the frames that a request and its answer take anyway."""

import pytest
import trio
import trio.testing
from libp2p.custom_types import TProtocol

from peer.network.libp2p_negotiation import proposal
from peer.network.libp2p_yamux_frames import DATA, HEADER, WINDOW_UPDATE
from peer.network.libp2p_yamux_stream import (
    ACK,
    FIN,
    RST,
    SYN,
)
from peer.types import PeerId
from tests.unit.network.loopback import (
    PATIENCE_S,
    peer_id,
    until,
)
from tests.unit.network.yamux_frames import ECHO, EMPTY_REQUEST, Frames, open_frames, read_exactly, theirs


@pytest.mark.parametrize("other", ["/murmur/nothing/1", "/meshsub/9.9.9"])
async def test_proposal_of_what_is_not_served_is_refused_and_is_nobodys_mistake(other: str) -> None:
    async with open_frames() as (victim, frames):
        await frames.send(DATA, SYN, data=proposal(TProtocol(other)) + b"\x00\x00\x00\x05\xff\xff\xff\xff\xff")
        assert (await frames.next(DATA))[2].endswith(b"\x03na\n")
        assert (await frames.next(WINDOW_UPDATE))[0] & RST
        assert victim.counters()["protocol_errors"] == 0


async def flags_of_data(frames: Frames, expected: bytes) -> int:
    """Wait for the frame that carries just `expected`, whatever comes before it."""
    with trio.fail_after(PATIENCE_S):
        while True:
            _, kind, flags, _, length = HEADER.unpack(await read_exactly(frames.secured, HEADER.size))
            if kind == DATA and await read_exactly(frames.secured, length) == expected:
                return int(flags)


async def test_request_goes_out_without_waiting_for_the_protocol() -> None:
    """Three ways there and back become one."""
    async with open_frames() as (victim, frames), trio.open_nursery() as nursery:
        nursery.start_soon(victim.request, peer_id(2), "anything/1", b"hello")
        expected = proposal(TProtocol("/murmur/anything/1")) + b"\x00\x00\x00\x05hello"
        await flags_of_data(frames, expected)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("sent", [b"\xff", b"\x00", b"\x02ab", b"\x03\xff\xff\n"])
async def test_nonsense_in_place_of_a_proposal_is_reset_and_counted(sent: bytes) -> None:
    async with open_frames() as (victim, frames):
        await frames.send(DATA, SYN, data=sent)
        assert (await frames.next(WINDOW_UPDATE))[0] & RST
        await until(lambda: victim.counters()["protocol_errors"] == 1)


async def test_request_and_response_each_close_their_direction_with_the_last_frame() -> None:
    """A frame for that alone would cost both ends a turn of the event loop, twice a request."""
    async with open_frames() as (victim, frames), trio.open_nursery() as nursery:
        await frames.send(DATA, SYN | FIN, data=ECHO + EMPTY_REQUEST)
        assert await frames.next(DATA) == (ACK | FIN, len(ECHO) + 4, ECHO + EMPTY_REQUEST)
        await until(lambda: not theirs(victim))
        nursery.start_soon(victim.request, peer_id(2), "anything/1", b"hello")
        expected = proposal(TProtocol("/murmur/anything/1")) + b"\x00\x00\x00\x05hello"
        assert await flags_of_data(frames, expected) == SYN | FIN
        nursery.cancel_scope.cancel()


async def test_consent_comes_before_the_answer_of_a_handler_that_has_to_wait() -> None:
    """Else who asked could not tell a slow answer from a peer that hangs."""
    answer_now = trio.Event()

    async def slow(_peer: PeerId, data: bytes) -> bytes:
        await answer_now.wait()
        return data

    slow_protocol = proposal(TProtocol("/murmur/slow/1"))
    async with open_frames() as (victim, frames):
        victim.handle("slow/1", slow)
        await frames.send(DATA, SYN | FIN, data=slow_protocol + EMPTY_REQUEST)
        assert await frames.next(DATA) == (ACK, len(slow_protocol), slow_protocol)
        answer_now.set()
        assert await frames.next(DATA) == (FIN, 4, EMPTY_REQUEST)


async def test_consent_comes_where_the_request_is_waited_for() -> None:
    async with open_frames() as (_, frames):
        await frames.send(DATA, SYN, data=ECHO + EMPTY_REQUEST[:2])
        assert await frames.next(DATA) == (ACK, len(ECHO), ECHO)
        await frames.send(DATA, FIN, data=EMPTY_REQUEST[2:])
        assert await frames.next(DATA) == (FIN, 4, EMPTY_REQUEST)


async def test_line_of_a_proposal_that_has_no_end_is_no_proposal() -> None:
    async with open_frames() as (victim, frames):
        await frames.send(DATA, SYN, data=ECHO[:-1] + b"x" + EMPTY_REQUEST)
        assert (await frames.next(WINDOW_UPDATE))[0] & RST
        await until(lambda: victim.counters()["protocol_errors"] == 1)
