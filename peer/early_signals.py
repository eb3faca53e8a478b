"""Signals that come while the event loop starts: kept until something listens, as an exception would break the loop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class EarlySignals:
    """What has come so far and was heard by nobody, each signal once."""

    def __init__(self) -> None:
        self._kept: list[int] = []

    def keep(self, number: int, _frame: object) -> None:
        if number not in self._kept:
            self._kept.append(number)

    def pass_on(self) -> None:
        """Raise them again, for whoever has installed a handler meanwhile."""
        while self._kept:
            signal.raise_signal(self._kept.pop(0))


@contextmanager
def keeping(*numbers: signal.Signals) -> Iterator[EarlySignals]:
    """Keep these signals while the block has no handler of its own for them; after that one is gone they do nothing."""
    early = EarlySignals()
    before = {number: signal.signal(number, early.keep) for number in numbers}
    try:
        yield early
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
