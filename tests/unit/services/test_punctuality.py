"""An event loop that comes late is told, and seldom."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from peer.services.punctuality import TOO_LATE, WINDOW_S, watch_punctuality
from peer.telemetry.process_events import RunningLate
from peer.telemetry.sink import RecordingSink


async def test_loop_in_time_is_no_news(autojump_clock: MockClock) -> None:
    sink = RecordingSink()
    with trio.move_on_after(20 * WINDOW_S):
        await watch_punctuality(sink)
    assert not sink.events


async def test_loop_that_is_held_up_is_told_once_a_minute(mock_clock: MockClock) -> None:
    """Every nap of 0.25 s takes half a second: the clock jumps over what it should have been woken at."""
    sink = RecordingSink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_punctuality, sink)
        await wait_all_tasks_blocked()
        for _ in range(180):
            mock_clock.jump(0.5)
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    late = [event for event in sink.events if isinstance(event, RunningLate)]
    assert len(late) == 2, "90 s: after the first window, and a minute later"
    assert late[0].longest_s == 0.25
    assert late[0].late_s == late[0].window_s / 2 > TOO_LATE * WINDOW_S
