"""Dials of one kind that come to nothing, and those of the others."""

from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from peer.network.dial_lanes import LEAST_OF_HEARSAY, DialLane, dial_lanes
from peer.network.dial_window import FIRST
from peer.network.transport import Origin

TIMEOUT_S = 10.0


@pytest.mark.parametrize("word", [Origin.HEARSAY, Origin.ASKED])
async def test_what_others_say_and_that_comes_to_nothing_holds_up_no_other(
    autojump_clock: MockClock, word: Origin
) -> None:
    lanes, ended = dial_lanes(), list[float]()

    async def time_out(origin: Origin) -> None:
        async with lanes[origin].place() as place:
            await trio.sleep(TIMEOUT_S)
            place.window.timed_out()
            ended.append(trio.current_time() - start)

    async def answer(origin: Origin) -> None:
        async with lanes[origin].place() as place:
            place.window.finished()
        assert trio.current_time() == start

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(time_out, word)
        await trio.testing.wait_all_tasks_blocked()
        for other in set(Origin) - {word}:
            nursery.start_soon(answer, other)
    assert ended[:FIRST] == [TIMEOUT_S] * FIRST
    assert ended[-LEAST_OF_HEARSAY:] == [10 / LEAST_OF_HEARSAY * TIMEOUT_S] * LEAST_OF_HEARSAY


async def test_place_that_is_left_early_is_another_dials_and_is_taken_again_when_there_is_one(
    autojump_clock: MockClock,
) -> None:
    lane, took = DialLane(), dict[str, float]()

    async def dial(name: str, *, opening_s: float) -> None:
        async with lane.place() as place:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(place.leave_after, 0.5)
                await trio.sleep(opening_s)
                nursery.cancel_scope.cancel()
            await place.take()
            took[name] = trio.current_time() - start

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(FIRST):
            nursery.start_soon(partial(dial, f"silent {number}", opening_s=5.0))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(partial(dial, "prompt", opening_s=0.0))
    assert took == {"prompt": 0.5, "silent 0": 5.0, "silent 1": 5.0}


async def twelve_dials(lane: DialLane, *, in_time: bool) -> list[int]:
    """Return how many were under way as each of them began; all end in time, or none."""
    under_way, seen = 0, list[int]()

    async def dial() -> None:
        nonlocal under_way
        async with lane.place() as place:
            under_way += 1
            seen.append(under_way)
            await trio.sleep(1.0)
            under_way -= 1
            (place.window.finished if in_time else place.window.timed_out)()

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(dial)
    return seen


@pytest.mark.parametrize(("origin", "least"), [(Origin.NAMED, 1), (Origin.MET, 1), (Origin.HEARSAY, 2)])
async def test_more_dials_are_under_way_while_they_end_in_time_and_fewer_while_not(
    origin: Origin, least: int, autojump_clock: MockClock
) -> None:
    lane = dial_lanes()[origin]
    for _ in range(2):
        assert max([await twelve_dials(lane, in_time=True) for _ in range(5)][-1]) == 8
        assert (await twelve_dials(lane, in_time=False))[-1] == least
