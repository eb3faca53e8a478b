"""Doing something before a task waits for the first time, and only if it does.

What is sent in two pieces wakes the other end twice. What is held back so that it goes out with what follows must not
be held back for as long as that takes.
"""

import types
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")


@types.coroutine
def before_first_wait(
    awaitable: Awaitable[_T], act: Callable[[], None]
) -> Generator[Any, Any, _T]:  # Any: what an event loop and its primitives say to each other
    """Await it; call `act` at the moment in which it first waits for anything, and not at all if it never does."""
    steps = awaitable.__await__()
    step: Callable[[], Any] = partial(steps.send, None)
    has_waited = False
    while True:
        try:
            awaited = step()
        except StopIteration as end:
            result: _T = end.value
            return result
        if not has_waited:
            has_waited = True
            act()
        try:
            step = partial(steps.send, (yield awaited))
        except BaseException as error:  # it is for `awaitable` to handle
            step = partial(steps.throw, error)
