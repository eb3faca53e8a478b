"""A stream whose other end takes its time: whoever writes sleeps until there is news."""

from typing import cast

import pytest
import trio
from libp2p.abc import IMuxedConn
from libp2p.stream_muxer.exceptions import MuxedStreamError
from trio.testing import MockClock

from peer.network.libp2p_tcp import STALL_S
from peer.network.libp2p_yamux_stream import INITIAL_WINDOW_BYTES, LEAST_TAKEN_BYTES, SYN, YamuxStream


class Void:
    """A connection that swallows everything at once."""

    async def send_data(
        self, stream: YamuxStream, flags: int, data: memoryview, *, before: bytes, increment: int
    ) -> None: ...

    def send_data_now(
        self, stream: YamuxStream, flags: int, data: memoryview, *, before: bytes, increment: int
    ) -> bool:
        return True

    async def send_window(self, stream: YamuxStream, flags: int, increment: int) -> None: ...

    async def note_closed(self, stream: YamuxStream) -> None: ...

    def note_taken(self, stream: YamuxStream, count: int) -> None: ...


class Steps(trio.abc.Instrument):
    """Counts the steps of one task."""

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.count = 0
        self._task = task

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # trio's signature
        self.count += task is self._task


async def test_writer_that_waits_for_the_window_does_not_look_again_and_again(autojump_clock: MockClock) -> None:
    """py-libp2p's looks every 10 ms."""
    stream = YamuxStream(cast(IMuxedConn, None), Void(), 1, first_flags=SYN)
    await stream.write(bytes(INITIAL_WINDOW_BYTES))
    steps, start = Steps(trio.lowlevel.current_task()), trio.current_time()
    trio.lowlevel.add_instrument(steps)
    try:
        with pytest.raises(MuxedStreamError, match="has taken less"):
            await stream.write(b"x")
    finally:
        trio.lowlevel.remove_instrument(steps)
    assert trio.current_time() - start >= STALL_S
    assert steps.count == 1


async def test_reader_that_takes_a_byte_at_a_time_is_given_up(autojump_clock: MockClock) -> None:
    stream, start = YamuxStream(cast(IMuxedConn, None), Void(), 1, first_flags=SYN), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_widen, stream, 1)
        with pytest.raises(MuxedStreamError, match="has taken less"):
            await stream.write(bytes(2 * INITIAL_WINDOW_BYTES))
        assert trio.current_time() - start <= STALL_S + 1.0
        nursery.cancel_scope.cancel()


async def test_reader_that_is_slow_and_steady_is_waited_for(autojump_clock: MockClock) -> None:
    stream, start = YamuxStream(cast(IMuxedConn, None), Void(), 1, first_flags=SYN), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_widen, stream, LEAST_TAKEN_BYTES)
        await stream.write(bytes(20 * LEAST_TAKEN_BYTES))
        assert trio.current_time() - start > 15 * STALL_S
        nursery.cancel_scope.cancel()


async def _widen(stream: YamuxStream, increment: int) -> None:
    while True:
        await trio.sleep(STALL_S - 1.0)
        stream.widen_sending(increment)
