"""The guard alone, around streams of nobody: how many one peer may have open, and that what is refused is reset."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from libp2p.peer.id import ID

from peer.network.counters import new_counters
from peer.network.libp2p_guard import StreamGuard
from peer.types import PeerId
from tests.unit.network.loopback import peer_id

Handler = Callable[["Stream"], Awaitable[None]]


class Stream:
    """As much of one as the guard looks at. `end` ends what is done for it."""

    def __init__(self, peer: PeerId) -> None:
        self.muxed_conn = SimpleNamespace(peer_id=ID.from_base58(peer))
        self.resets = 0
        self.end = trio.Event()

    async def reset(self) -> None:
        await trio.lowlevel.checkpoint()
        self.resets += 1


def guarded(handler: Handler, *, most: int, admits: Callable[[PeerId], bool] = lambda _: True) -> Handler:
    guard = StreamGuard(new_counters(), max_peer_streams=most, admits=admits)
    swarm = SimpleNamespace(common_stream_handler=handler)
    swarm.set_stream_handler = lambda outer: setattr(swarm, "common_stream_handler", outer)
    guard.protect(swarm)  # type: ignore[arg-type]  # as much of a swarm as it needs
    protected: Handler = swarm.common_stream_handler
    return protected


@pytest.fixture(autouse=True)
def _without_a_stream_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.network.libp2p_guard.muxed_stream", lambda stream: stream)


async def test_an_ended_stream_makes_room_for_one_and_no_more(autojump_clock: trio.testing.MockClock) -> None:
    served = guarded(lambda stream: stream.end.wait(), most=3)
    streams = [Stream(peer_id(2)) for _ in range(6)]
    async with trio.open_nursery() as nursery:
        for stream in streams[:4]:
            nursery.start_soon(served, stream)
            await trio.testing.wait_all_tasks_blocked()
        streams[0].end.set()
        await trio.testing.wait_all_tasks_blocked()
        for stream in streams[4:]:
            nursery.start_soon(served, stream)
            await trio.testing.wait_all_tasks_blocked()
        assert [stream.resets for stream in streams] == [0, 0, 0, 1, 0, 1]
        other = Stream(peer_id(3))
        nursery.start_soon(served, other)
        await trio.testing.wait_all_tasks_blocked()
        assert not other.resets
        nursery.cancel_scope.cancel()


async def test_a_stream_that_is_not_admitted_is_reset_and_never_handled() -> None:
    handled: list[Stream] = []

    async def note(stream: Stream) -> None:
        handled.append(stream)

    served = guarded(note, most=3, admits=lambda peer: peer != peer_id(2))
    refused, taken = Stream(peer_id(2)), Stream(peer_id(3))
    await served(refused)
    await served(taken)
    assert (refused.resets, taken.resets) == (1, 0)
    assert handled == [taken]
