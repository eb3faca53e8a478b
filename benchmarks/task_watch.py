"""The CPU time of a peer, charged to whose code ran: what `network_share.py` runs inside each peer.

Python code of the network is told from the rest where one calls the other. A step of a task is charged to whoever has
called into the network, or to the network where nobody has: that runs the task. What such a call does, step by step, is
the network's (`charged_to`), and what a handler does that the network calls is the handler's.
"""

import json
import threading
import time
import types
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, ParamSpec, TypeVar

import trio

EVENT_LOOP = "event loop"
NETWORK = "network"
LOOP = (EVENT_LOOP, "between steps")
"""Whom the time between two steps is charged to, and as what."""
_OWNERS = (
    (
        NETWORK,
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


_P = ParamSpec("_P")
_T = TypeVar("_T")
Whose = tuple[str, str]
"""An owner, and the function that stands for what it did."""


class Watch(trio.abc.Instrument):
    """Charges the CPU time of steps of tasks, and of the loop between them, for `for_s`; writes that to `path`."""

    def __init__(self, path: Path, *, go: Path, for_s: float) -> None:
        self._path = path
        self._go = go
        self._for_s = for_s
        self._looking = self._in_step = False
        self._inside: Whose | None = None
        self._outside = 0.0  # of the present step, not in a call that is charged to somebody
        self._owners: defaultdict[str, float] = defaultdict(float)
        self._functions: defaultdict[str, float] = defaultdict(float)
        self._steps: Counter[str] = Counter()
        self._turns = self._task_steps = 0
        self._last = 0.0

    def before_io_wait(self, _timeout: float) -> None:
        self._turns += self._looking

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        if self._looking:
            now = time.thread_time()
            self._charge(LOOP, now - self._last)
            self._in_step, self._outside = True, 0.0
            self._last = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._in_step:
            self._outside += time.thread_time() - self._last
            self._in_step = False
            self._task_steps += 1
            self._charge(_caller(_awaiting(task.coro)) or (EVENT_LOOP, task.name.rpartition(".")[2]), self._outside)
            self._last = time.thread_time()  # finding out whom to charge is charged to nobody

    def charged_to(self, owner: str, function: Callable[_P, Awaitable[_T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
        """Return an async function that does the same, and whose every step is charged to `owner`.

        function: or a partial of one.
        """
        whose = owner, f"{getattr(function, 'func', function).__qualname__}()"

        async def charged(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            result: _T = await self._driven(whose, function(*args, **kwargs).__await__())
            return result

        return charged

    @types.coroutine
    def _driven(self, whose: Whose, steps: Generator[Any, Any, _T]) -> Generator[Any, Any, _T]:
        answer, error = None, None
        while True:
            before = self._enter(whose)
            try:
                trap = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as end:
                result: _T = end.value
                return result
            finally:
                self._enter(before)
            answer, error = None, None
            try:
                answer = yield trap
            except BaseException as thrown:
                error = thrown

    def _enter(self, whose: Whose | None) -> Whose | None:
        """Charge what has run since the last look, and what follows to `whose`; return to whom that was charged."""
        before, self._inside = self._inside, whose
        if self._in_step:
            passed = time.thread_time() - self._last
            if before is None:
                self._outside += passed
            else:
                self._charge(before, passed)
            self._last = time.thread_time()
        return before

    def _charge(self, whose: Whose, passed: float) -> None:
        self._owners[whose[0]] += passed
        self._functions[": ".join(whose)] += passed
        self._steps[": ".join(whose)] += 1

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
            "task_steps": self._task_steps,
        }
        self._path.write_text(json.dumps(found))


def _awaiting(coroutine: Any) -> Iterator[CodeType]:  # Any: coroutines, generators and what else can be awaited
    """Yield the code that a coroutine waits in, outermost first; only its own when it has ended."""
    while coroutine is not None:
        for kind, awaited in (("cr", "cr_await"), ("ag", "ag_await"), ("gi", "gi_yieldfrom")):
            if hasattr(coroutine, f"{kind}_code"):
                yield getattr(coroutine, f"{kind}_code")
                coroutine = getattr(coroutine, awaited)
                break
        else:
            break


def _caller(codes: Iterator[CodeType]) -> Whose | None:
    """Return who runs a task, and where it waits there: whoever calls into the network, or the network if nobody does.

    codes: outermost first.
    """
    found = None
    for code in codes:
        owner = owner_of(code)
        if owner is None:
            continue
        if found is not None and (owner == NETWORK) != (found[0] == NETWORK):
            break
        found = owner, f"{code.co_filename.rpartition('/')[2]}:{code.co_qualname}"
    return found


def owner_of(code: CodeType) -> str | None:
    return _owner_of_file(code.co_filename)


@cache
def _owner_of_file(name: str) -> str | None:
    """Remembered, so that looking spoils little of the processor's caches for what is looked at."""
    return next((owner for owner, fragments in _OWNERS if any(part in name for part in fragments)), None)
