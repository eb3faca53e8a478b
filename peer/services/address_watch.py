"""A machine whose addresses change, by DHCP, a VPN or another network: others are told the new ones."""

from collections.abc import Callable
from typing import Never

import trio

from peer.errors import TransportError
from peer.network.announce import Announced
from peer.telemetry.peer_events import AddressesChanged
from peer.telemetry.sink import EventSink
from peer.types import Seconds

LOOK_S: Seconds = 5.0
"""Between two looks. Only what two of them find counts: an interface that is down for a moment comes back."""


async def watch_addresses(
    told: Announced, current: Callable[[], Announced], *, announce: Callable[[Announced], None], sink: EventSink
) -> Never:
    """Compare what others are told with what they would be told by a start now; announce each change.

    current: raises TransportError where no interface has an address, and OSError where the system does not say, such as
    when this process may open no more files. Neither is a change, nor is it one to have no address at all.
    """
    last = told
    while True:
        await trio.sleep(LOOK_S)
        try:
            now = current()
        except (TransportError, OSError):
            continue
        if now.public and now == last and set(now.public) != set(told.public):
            gone = tuple(address for address in told.public if address not in now.public)
            told = now
            announce(now)
            sink.emit(AddressesChanged(gone=gone, now=now.public))
        last = now
