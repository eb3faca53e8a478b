"""A machine whose addresses change, as by DHCP: announced once, and not for an interface that is down for a moment."""

import errno
import os
from collections.abc import Sequence

import trio
from trio.testing import MockClock

from peer.errors import TransportError
from peer.network.announce import Announced
from peer.services.address_watch import LOOK_S, watch_addresses
from peer.telemetry.peer_events import AddressesChanged
from peer.telemetry.sink import RecordingSink

OLD, NEW, THIRD = ("/ip4/192.0.2.7/tcp/4001",), ("/ip4/192.0.2.9/tcp/4001",), ("/ip4/192.0.2.5/tcp/4001",)
LOOPBACK = "/ip4/127.0.0.1/tcp/4001"
DOWN = TransportError("network.interface: eth0 has no IPv4 address")


def at(addresses: tuple[str, ...]) -> Announced:
    return Announced(public=addresses, local=(LOOPBACK, *addresses))


async def changes_of(looks: Sequence[tuple[str, ...] | Exception]) -> list[AddressesChanged]:
    """Return what is told of a machine at which the looks find this, or fail so."""
    left, sink = list(looks), RecordingSink()
    announced: list[Announced] = []

    def current() -> Announced:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return at(found)

    with trio.move_on_after((len(looks) + 0.5) * LOOK_S):
        await watch_addresses(at(OLD), current, announce=announced.append, sink=sink)
    told = [event for event in sink.events if isinstance(event, AddressesChanged)]
    assert announced == [at(event.now) for event in told]
    return told


async def test_new_address_is_announced_once(autojump_clock: MockClock) -> None:
    assert await changes_of([OLD, NEW, NEW, NEW, NEW]) == [AddressesChanged(gone=OLD, now=NEW)]


async def test_interface_that_is_down_for_a_moment_is_no_news(autojump_clock: MockClock) -> None:
    assert await changes_of([OLD, DOWN, (), NEW, OLD, OLD, (), ()]) == []


async def test_each_further_change_is_announced_also_the_way_back(autojump_clock: MockClock) -> None:
    told = await changes_of([NEW, NEW, OLD, OLD, NEW, NEW, THIRD, THIRD])
    assert [event.now for event in told] == [NEW, OLD, NEW, THIRD]


async def test_address_that_comes_in_addition_is_announced_too(autojump_clock: MockClock) -> None:
    assert await changes_of([OLD + NEW, OLD + NEW, NEW + OLD]) == [AddressesChanged(gone=(), now=OLD + NEW)]


async def test_system_that_does_not_say_is_asked_again(autojump_clock: MockClock) -> None:
    exhausted = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    assert await changes_of([exhausted, NEW, exhausted, NEW]) == [AddressesChanged(gone=OLD, now=NEW)]
