"""Make trio's scheduler repeatable, so that a seed replays a virtual-time swarm to the last event.

trio runs the tasks of one batch in an order it draws at random, from a set: on purpose, against code that
relies on an order. Its own switch for hypothesis (sort, then shuffle with a known generator) is used here
with our seed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio._core._run as scheduler


@contextmanager
def deterministic_scheduling(seed: int) -> Iterator[None]:
    """Run trio programs inside the block in an order that depends on `seed` alone.

    Enter it outside `trio.run`. Iterating a set of strings still depends on PYTHONHASHSEED: sort before
    choosing.
    """
    module: Any = scheduler  # private names of trio, pinned with it; the replay test shows when they move
    was_on, state = module._ALLOW_DETERMINISTIC_SCHEDULING, module._r.getstate()
    module._ALLOW_DETERMINISTIC_SCHEDULING = True
    module._r.seed(seed)
    try:
        yield
    finally:
        module._ALLOW_DETERMINISTIC_SCHEDULING = was_on
        module._r.setstate(state)
