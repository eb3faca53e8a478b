"""Keep on disk what peers call themselves: a peer that was expelled or is gone is known by its name after a restart."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Never

import trio

from peer.services.blocking import RunBlocking, attempt, in_thread
from peer.storage.names_file import save_names
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds

_EVERY_S: Seconds = 10.0


async def keep_names(
    known: Callable[[], Mapping[PeerId, str]], folder: Path, *, sink: EventSink, blocking: RunBlocking = in_thread
) -> Never:
    """Write the names when they have changed, until cancelled, and then once more.

    A disk that does not take them costs the names alone.
    """
    kept: Mapping[PeerId, str] = {}

    async def keep() -> None:
        nonlocal kept
        names = known()
        if names == kept:
            return
        write = partial(save_names, folder, names)
        if await attempt(write, operation="save the names of peers", sink=sink, blocking=blocking):
            kept = names

    try:
        while True:
            await trio.sleep(_EVERY_S)
            await keep()
    finally:
        with trio.CancelScope(shield=True):
            await keep()
