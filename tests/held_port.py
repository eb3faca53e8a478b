"""A port that a test may listen on again and again."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """A port of loopback that the system gives to nobody; who asks for this very one may listen there."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as all servers do
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
