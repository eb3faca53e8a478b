"""The CPU time of a peer, charged to whose code its tasks wait in: what `network_share.py` runs inside each peer."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import trio

EVENT_LOOP = "event loop"
LOOP = (EVENT_LOOP, "between steps")
"""Whom the time between two steps is charged to, and as what."""
_OWNERS = (
    (
        "network",
        (
            "/peer/network/",
            "/libp2p/",
            "/noise/",
            "/multiaddr/",
            "/peer/services/blobs.py",
            "/peer/services/received_blob.py",
            "/peer/services/uploads.py",
        ),
    ),
    (
        "protocol",
        (
            "/peer/rounds/",
            "/peer/wire/",
            "/peer/membership/",
            "/peer/admission/",
            "/peer/services/conductor.py",
            "/peer/services/exchanges.py",
        ),
    ),
    ("rest of the peer", ("/peer/",)),
)


class Watch(trio.abc.Instrument):
    """Charges the CPU time of steps of tasks, and of the loop between them, for `for_s`; writes that to `path`."""

    def __init__(self, path: Path, *, go: Path, for_s: float) -> None:
        self._path = path
        self._go = go
        self._for_s = for_s
        self._looking = self._in_step = False
        self._owners: defaultdict[str, float] = defaultdict(float)
        self._functions: defaultdict[str, float] = defaultdict(float)
        self._steps: Counter[str] = Counter()
        self._turns = 0
        self._last = 0.0

    def before_io_wait(self, _timeout: float) -> None:
        self._turns += self._looking

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        if self._looking:
            self._charge(LOOP, time.thread_time())
            self._in_step = True

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._in_step:
            ended = time.thread_time()  # finding out whom to charge is charged to nobody
            self._in_step = False
            self._charge(_whose(_awaiting(task.coro)) or (EVENT_LOOP, task.name.rpartition(".")[2]), ended)

    def _charge(self, whose: tuple[str, str], now: float) -> None:
        self._owners[whose[0]] += now - self._last
        self._functions[": ".join(whose)] += now - self._last
        self._steps[": ".join(whose)] += 1
        self._last = time.thread_time()

    def watch(self) -> None:
        """Wait for the start and for the end, and write the result; in a thread of its own."""
        main = threading.main_thread().ident
        assert main is not None
        clock = time.pthread_getcpuclockid(main)
        while not self._go.exists():
            time.sleep(0.1)
        process = time.process_time()
        start = self._last = time.clock_gettime(clock)
        self._looking = True
        time.sleep(self._for_s)
        self._looking = False
        watching = time.clock_gettime(clock) - start - sum(self._owners.values())
        found = {
            "cpu_s": time.process_time() - process - watching,
            "main_thread_s": sum(self._owners.values()),
            "owners": dict(self._owners),
            "functions": dict(self._functions),
            "steps": dict(self._steps),
            "turns": self._turns,
        }
        self._path.write_text(json.dumps(found))


def _awaiting(coroutine: Any) -> Iterator[CodeType]:  # Any: coroutines, generators and what else can be awaited
    """Yield the code that a coroutine waits in, innermost first; only its own when it has ended."""
    chain: list[CodeType] = []
    while coroutine is not None:
        for kind, awaited in (("cr", "cr_await"), ("ag", "ag_await"), ("gi", "gi_yieldfrom")):
            if hasattr(coroutine, f"{kind}_code"):
                chain.append(getattr(coroutine, f"{kind}_code"))
                coroutine = getattr(coroutine, awaited)
                break
        else:
            break
    return reversed(chain)


def _whose(codes: Iterator[CodeType]) -> tuple[str, str] | None:
    """Return whose code the innermost known one is, and the function."""
    for code in codes:
        if (owner := _owner_of(code.co_filename)) is not None:
            return owner, f"{code.co_filename.rpartition('/')[2]}:{code.co_qualname}"
    return None


@cache
def _owner_of(filename: str) -> str | None:
    """Remembered, so that looking spoils little of the processor's caches for what is looked at."""
    return next((owner for owner, fragments in _OWNERS if any(part in filename for part in fragments)), None)
