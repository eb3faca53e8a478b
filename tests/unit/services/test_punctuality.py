"""An event loop that comes late is told, and seldom."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from peer.services.punctuality import TOO_LATE, WINDOW_S, watch_punctuality
from peer.telemetry.process_events import RunningLate
from peer.telemetry.rate_limit import LONGEST_S
from peer.telemetry.sink import RecordingSink


async def test_loop_in_time_is_no_news(autojump_clock: MockClock) -> None:
    sink = RecordingSink()
    with trio.move_on_after(20 * WINDOW_S):
        await watch_punctuality(sink)
    assert not sink.events


async def test_loop_that_is_held_up_is_told_once_a_minute(mock_clock: MockClock) -> None:
    """Every nap of 0.25 s takes half a second: the clock jumps over what it should have been woken at."""
    late = await _told(mock_clock, seconds=90)
    assert len(late) == 2, "90 s: after the first window, and a minute later"
    assert late[0].longest_s == 0.25
    assert late[0].late_s == late[0].window_s / 2 > TOO_LATE * WINDOW_S


async def test_machine_that_is_overloaded_for_hours_is_told_ever_more_rarely(mock_clock: MockClock) -> None:
    hours = 3
    assert len(await _told(mock_clock, seconds=hours * 3600)) < hours * 3600 / LONGEST_S + 5


async def _told(clock: MockClock, *, seconds: int) -> list[RunningLate]:
    sink = RecordingSink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_punctuality, sink)
        await wait_all_tasks_blocked()
        for _ in range(2 * seconds):
            clock.jump(0.5)
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return [event for event in sink.events if isinstance(event, RunningLate)]
