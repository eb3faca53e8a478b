"""How many files and sockets this process may hold open: each connection is one, and every other peer makes some."""

import resource

_AMPLE = 65_536
"""Of a limit in the millions no more is taken."""

_OWN = 64
"""Files, libraries, the event loop, and the port."""


def needed_files(*, connections: int, handshakes: int, dials: int) -> int:
    """Return how many a peer may have open at a time."""
    return connections + handshakes + dials + _OWN


def permitted_files() -> int:
    """Return how many `raise_open_files` makes possible here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft, _AMPLE if hard == resource.RLIM_INFINITY else min(hard, _AMPLE))


def raise_open_files() -> None:
    """Lift the limit as far as this user may: the usual one, 1024, is for programs that wait by select()."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (permitted_files(), hard))
    except (OSError, ValueError):  # a system with a lower bound of its own
        return
