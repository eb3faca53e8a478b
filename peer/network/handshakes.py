"""Strangers between connecting and having proved who they are: bounded, and no host keeps the others out."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from peer.network.host_key import host_key


class Handshakes:
    """At most `most` under way. When there is no room, the host that has the most loses its oldest one.

    A bound for each host would have to be as large as honest hosts need, where many peers share one, and few hosts
    together would fill the whole.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._hosts: dict[trio.CancelScope, str] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._hosts)

    @contextmanager
    def under_way(self, host: str) -> Iterator[trio.CancelScope]:
        """Count what is done in the block as a handshake with `host`; it is cancelled when it has to make room."""
        scope = trio.CancelScope()
        self._hosts[scope] = host_key(host)
        if len(self._hosts) > self._most:
            self._make_room()
        try:
            with scope:
                yield scope
        finally:
            self._hosts.pop(scope, None)

    def _make_room(self) -> None:
        count = Counter(self._hosts.values())
        most = max(count.values())
        scope = next(scope for scope, host in self._hosts.items() if count[host] == most)
        del self._hosts[scope]
        scope.cancel()
