"""The port: bound here, because py-libp2p binds with SO_REUSEPORT and never sees that a port is in use."""

import errno
import socket
from collections.abc import Callable

import trio

from peer.addresses import TcpAddress
from peer.errors import TransportError
from peer.network.announce import multicast_addresses
from peer.network.interfaces import interface_addresses
from peer.network.transport import AcceptFailed
from peer.storage_failures import cause_and_step


async def open_listeners(address: TcpAddress) -> list[trio.SocketListener]:
    """Bind. Raises: TransportError that says what to do when the port is in use or the address is not ours."""
    try:
        return list(await trio.open_tcp_listeners(address.port, host=address.host))
    except OSError as error:
        advice = {
            errno.EADDRINUSE: "another process uses this port: stop it, or choose another port (0: any free one)",
            errno.EACCES: "ports below 1024 need privileges: choose a higher one",
            errno.EADDRNOTAVAIL: "this machine has no such address: use 0.0.0.0 for all of its addresses",
        }.get(error.errno or 0, error.strerror or str(error))
        raise TransportError(f"cannot listen on {address}: {advice}") from error


class TellingListener(trio.abc.Listener[trio.SocketStream]):
    """A listener that tells when the system refuses to accept; `trio.serve_listeners` tries again, and only logs it."""

    def __init__(self, listener: trio.SocketListener, tell: Callable[[AcceptFailed], None]) -> None:
        self._listener = listener
        self._tell = tell

    async def accept(self) -> trio.SocketStream:
        """Raises: OSError, told."""
        try:
            return await self._listener.accept()
        except OSError as error:
            self._tell(AcceptFailed(cause=cause_and_step(error)))
            raise

    async def aclose(self) -> None:
        await self._listener.aclose()


def bound_addresses(listeners: list[trio.SocketListener]) -> tuple[str, ...]:
    """Return the multiaddrs to tell others; the unspecified address becomes the machine's primary one."""
    found = []
    for listener in listeners:
        host, port = listener.socket.getsockname()[:2]
        kind = "ip6" if ":" in host else "ip4"
        if host in ("0.0.0.0", "::"):
            host = _primary_host(listener.socket.family)
        found.append(f"/{kind}/{host}/tcp/{port}")
    return tuple(found)


def _primary_host(family: int) -> str:
    """Return the address that packets to the outside would carry; connecting a UDP socket sends none."""
    outside, loopback = ("192.0.2.1", "127.0.0.1") if family == socket.AF_INET else ("2001:db8::1", "::1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((outside, 9))
        except OSError:  # no route to the outside: a network of its own, or none
            here = multicast_addresses(interface_addresses()) if family == socket.AF_INET else ()
            return here[0] if here else loopback
        return str(probe.getsockname()[0])
