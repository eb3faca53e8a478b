"""Let training give way to all else that a peer does: a round waits for messages, never for one more env step."""

import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEFAULT_NICE = 10
"""As `nice` does by default: a ninth of the share of a thread of normal priority, where both want the same core."""


def give_way(nice: int) -> None:
    """Lower the priority of the calling thread, and with it that of the threads that it starts; it is never raised.

    On Linux, where threads have priorities of their own; elsewhere it would be the whole process, so nothing is done.
    """
    if sys.platform == "linux" and nice > os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def made_giving_way(nice: int, make: Callable[[], T]) -> T:
    """Return what `make` returns; the threads that it starts have the lower priority, the caller keeps its own.

    Raises: whatever `make` raises.
    """
    made: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        give_way(nice)
        try:
            made.append(make())
        except BaseException as error:  # handed over to the caller, whatever it is
            raised.append(error)

    thread = threading.Thread(target=run, name="made giving way")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return made[0]
