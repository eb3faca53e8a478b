"""Free memory goes back to the system: peers that come and go leave garbage, and holes between what stays.

A connection that ended, or a dial that failed, is a web of objects that refer to each other. The interpreter looks for
old garbage of that kind only once there is much of it; it keeps thousands of free tuples, and every source file that a
traceback was ever made of, as py-libp2p makes them; and the C library keeps free holes for itself. So a process to
which others come for days looks as if it grew.
"""

import ctypes
import gc
import linecache
from typing import Never

import trio

from peer.types import Seconds

EVERY_S: Seconds = 60.0


def return_free_memory() -> None:
    """Collect all garbage, and give back whole pages that are free anywhere in the heap; only glibc can do the latter.

    2 to 7 ms in a swarm of six peers: what was loaded at the start is left out (`commands.startup`).
    """
    linecache.clearcache()
    gc.collect()  # also frees the free tuples: up to 2,000 of each length
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def keep_returning_free_memory() -> Never:
    while True:
        await trio.sleep(EVERY_S)
        return_free_memory()
