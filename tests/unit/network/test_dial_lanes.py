"""Dials of one kind that come to nothing, and those of the others."""

import trio
from trio.testing import MockClock

from peer.network.dial_lanes import LEAST_OF_HEARSAY, dial_lanes
from peer.network.dial_window import FIRST
from peer.network.transport import Origin

TIMEOUT_S = 10.0


async def test_hearsay_that_comes_to_nothing_holds_up_hearsay_alone(autojump_clock: MockClock) -> None:
    lanes, ended = dial_lanes(), list[float]()

    async def time_out(origin: Origin) -> None:
        async with lanes[origin].place() as window:
            await trio.sleep(TIMEOUT_S)
            window.timed_out()
            ended.append(trio.current_time() - start)

    async def answer(origin: Origin) -> None:
        async with lanes[origin].place() as window:
            window.finished()
        assert trio.current_time() == start

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(time_out, Origin.HEARSAY)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(answer, Origin.NAMED)
        nursery.start_soon(answer, Origin.MET)
    assert ended[:FIRST] == [TIMEOUT_S] * FIRST
    assert ended[-LEAST_OF_HEARSAY:] == [10 / LEAST_OF_HEARSAY * TIMEOUT_S] * LEAST_OF_HEARSAY
