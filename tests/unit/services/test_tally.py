"""What was refused is told when it grows, and no more often than it helps."""

import trio
from trio.testing import MockClock

from peer.services.tally import tell_refused_forever
from peer.telemetry.counters import Counters
from peer.telemetry.peer_events import InputRefused
from peer.telemetry.sink import RecordingSink
from tests.unit.services.scripted_transport import ScriptedTransport


class CountingTransport(ScriptedTransport):
    def __init__(self) -> None:
        super().__init__()
        self.refused_frames = 0

    def counters(self) -> dict[str, int]:
        return {"frames_refused": self.refused_frames}


async def test_messages_of_peers_that_are_told_by_name_are_told_when_they_have_doubled(
    autojump_clock: MockClock,
) -> None:
    assert [event.messages for event in await _told(messages=1, frames=0)] == [1, 2, 4, 8, 16, 32]


async def test_frames_of_a_health_check_are_told_ever_more_rarely(autojump_clock: MockClock) -> None:
    """Every five seconds for two hours; the pauses are 10, 20, 40, ... seconds, and at last ten minutes."""
    told = [event.frames for event in await _told(messages=0, frames=1, periods=1440)]
    assert told[:9] == [1, 3, 7, 15, 31, 63, 127, 247, 367]
    assert len(told) == 17


async def test_frames_that_come_after_a_quiet_time_are_told_at_once(autojump_clock: MockClock) -> None:
    transport, counters, sink = CountingTransport(), Counters(), RecordingSink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: tell_refused_forever(transport, counters, period_s=5.0, sink=sink))
        for knocks in (100, 0, 1):
            for _ in range(knocks):
                transport.refused_frames += 1
                await trio.sleep(5.0)
            await trio.sleep(605.0)
        nursery.cancel_scope.cancel()
    assert [event.frames for event in sink.events if isinstance(event, InputRefused)][-2:] == [100, 101]


async def _told(*, messages: int, frames: int, periods: int = 40) -> list[InputRefused]:
    """Return what is told in so many periods in each of which so much is refused."""
    transport, counters, sink = CountingTransport(), Counters(), RecordingSink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: tell_refused_forever(transport, counters, period_s=5.0, sink=sink))
        await trio.sleep(4.0)
        for _ in range(periods):
            counters.add("refused_config", messages)
            transport.refused_frames += frames
            await trio.sleep(5.0)
        nursery.cancel_scope.cancel()
    return [event for event in sink.events if isinstance(event, InputRefused)]
