"""A machine whose address changes, as by DHCP: told once, and not for an interface that is down for a moment."""

import errno
import os
from collections.abc import Sequence

import trio
from trio.testing import MockClock

from peer.errors import TransportError
from peer.services.address_watch import LOOK_S, watch_addresses
from peer.telemetry.peer_events import AddressesChanged
from peer.telemetry.sink import RecordingSink

OLD, NEW, THIRD = ("/ip4/192.0.2.7/tcp/4001",), ("/ip4/192.0.2.9/tcp/4001",), ("/ip4/192.0.2.5/tcp/4001",)
DOWN = TransportError("network.interface: eth0 has no IPv4 address")


async def warnings_of(looks: Sequence[tuple[str, ...] | Exception]) -> list[AddressesChanged]:
    """Return what is told of a machine at which the looks find this, or fail so."""
    left, sink = list(looks), RecordingSink()

    def current() -> tuple[str, ...]:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    with trio.move_on_after((len(looks) + 0.5) * LOOK_S):
        await watch_addresses(OLD, current, sink=sink)
    return [event for event in sink.events if isinstance(event, AddressesChanged)]


async def test_new_address_is_told_once_with_what_a_new_start_would_announce(autojump_clock: MockClock) -> None:
    assert await warnings_of([OLD, NEW, NEW, NEW, NEW]) == [AddressesChanged(gone=OLD, now=NEW)]


async def test_interface_that_is_down_for_a_moment_is_no_news(autojump_clock: MockClock) -> None:
    assert await warnings_of([OLD, DOWN, (), NEW, OLD, OLD, (), ()]) == []


async def test_each_further_change_is_told(autojump_clock: MockClock) -> None:
    told = await warnings_of([NEW, NEW, OLD, NEW, NEW, THIRD, THIRD])
    assert [event.now for event in told] == [NEW, NEW, THIRD]


async def test_address_that_comes_in_addition_is_no_news(autojump_clock: MockClock) -> None:
    assert await warnings_of([OLD + NEW, OLD + NEW, OLD + NEW]) == []


async def test_system_that_does_not_say_is_asked_again(autojump_clock: MockClock) -> None:
    exhausted = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    assert await warnings_of([exhausted, NEW, NEW]) == [AddressesChanged(gone=OLD, now=NEW)]
