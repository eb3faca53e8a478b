"""Signals that come while the event loop starts: kept until something listens, as an exception would break the loop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # the last: of a closed terminal


def heeded(*numbers: signal.Signals) -> tuple[signal.Signals, ...]:
    """Return those that are not ignored: whoever ignores one, as nohup does SIGHUP, means it."""
    return tuple(number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN)


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
