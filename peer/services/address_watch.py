"""A warning when this machine has lost an address that others are told: a peer announces what it found at its start."""

from collections.abc import Callable
from typing import Never

import trio

from peer.errors import TransportError
from peer.telemetry.peer_events import AddressesChanged
from peer.telemetry.sink import EventSink
from peer.types import Seconds

LOOK_S: Seconds = 30.0
"""Between two looks. Only what two of them find is told: an interface that is down for a moment comes back."""


async def watch_addresses(told: tuple[str, ...], current: Callable[[], tuple[str, ...]], *, sink: EventSink) -> Never:
    """Compare what others are told with what they would be told by a start now; tell each change once.

    current: raises TransportError where no interface has an address, and OSError where the system does not say, such as
    when this process may open no more files. Neither is a change.
    """
    last = warned_of = told
    while True:
        await trio.sleep(LOOK_S)
        try:
            now = current()
        except (TransportError, OSError):
            now = ()
        gone = tuple(address for address in told if address not in now)
        if now and gone and now == last != warned_of:
            warned_of = now
            sink.emit(AddressesChanged(gone=gone, now=now))
        elif not gone:
            warned_of = told
        last = now
