"""How a request and what answers it cross a link of a `MemoryNetwork`, or do not; the same for requests and downloads.

A `Reply` stands for the exchange at both ends: it knows the link, and who asked waits on it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from peer.errors import TransportError
from peer.network.memory_network import Link
from peer.network.memory_replies import Reply

if TYPE_CHECKING:
    from peer.network.memory_end import MemoryEnd


class MemoryExchanges:
    """The exchanges that one end takes part in, and the replies that it waits for."""

    def __init__(self, end: "MemoryEnd") -> None:
        self._end = end
        self._waiting: set[Reply] = set()

    @contextmanager
    def open(self, reply: Reply, ask: Callable[[], None], size: int) -> Iterator[None]:
        """Send a request of `size` bytes, which `ask` hands to the other end; wait for `reply` within the block."""
        self._waiting.add(reply)
        try:
            self._end.counters["bytes_sent"] += size
            self.send(reply, ask, size)
            yield
        finally:
            self._waiting.discard(reply)

    def waits_for(self, reply: Reply) -> bool:
        return reply in self._waiting and reply.outcome is None

    def send(self, reply: Reply, deliver: Callable[[], None], size: int) -> None:
        """Run `deliver` at the other end once `size` bytes have come there; when they are lost, `reply` fails later."""
        target = reply.link.other_end(self._end)
        direction = self._end.network.direction(self._end.peer, target.peer)
        if direction.loses(direction.profile.request_loss):
            self.lose(reply)
        else:
            target.schedule(trio.current_time() + direction.delay(size), deliver)

    def answer(self, reply: Reply, outcome: bytes | TransportError) -> None:
        """Send who asked the one answer, if it can still be reached."""
        size = _size(outcome)
        self._end.counters["bytes_sent"] += size
        if reply.link.open and self._end.alive:
            requester = reply.link.other_end(self._end)
            self.send(reply, partial(requester.exchanges.settle, reply, outcome), size)

    def settle(self, reply: Reply, outcome: bytes | TransportError) -> None:
        if self.arrives(reply, _size(outcome)):
            reply.settle(outcome)

    def arrives(self, reply: Reply, size: int) -> bool:
        """Return whether `size` bytes of the exchange really reach this end; if not, `reply` fails later."""
        source = reply.link.other_end(self._end).peer
        if not reply.link.open or not self._end.network.passes(source, self._end.peer):
            self.lose(reply)
            return False
        self._end.links.hear(source, size)
        return True

    def lose(self, reply: Reply) -> None:
        lost = TransportError(f"request to {reply.peer} was lost")
        at = trio.current_time() + self._end.network.profile.loss_delay_s
        self._end.network.schedule(at, reply.settle, lost)

    def fail(self, link: Link, cause: str) -> None:
        """Fail every exchange that waits on a link which is down."""
        for reply in [reply for reply in self._waiting if reply.link is link]:
            reply.settle(TransportError(f"connection to {reply.peer} broke: {cause}"))


def _size(outcome: bytes | TransportError) -> int:
    return len(outcome) if isinstance(outcome, bytes) else 0
