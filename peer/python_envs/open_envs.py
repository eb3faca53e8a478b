"""Environments that this process has made and must close: a simulator may be a process or a thread of its own."""

import contextlib
from typing import Protocol

_open: "dict[int, Closable]" = {}


class Closable(Protocol):
    """What is needed of an environment here, where nobody has loaded Gymnasium."""

    def close(self) -> None: ...


def opened(env: Closable) -> None:
    """Take note of an environment that was made."""
    _open[id(env)] = env


def close(env: Closable) -> None:
    """Close it, well or badly: nobody needs it any more, and the work goes on."""
    _open.pop(id(env), None)
    with contextlib.suppress(Exception, SystemExit):  # somebody else's code
        env.close()


def close_all() -> None:
    """Close those that are left, before Python waits for their threads and processes; nobody may use one any more."""
    for env in list(_open.values()):
        close(env)
