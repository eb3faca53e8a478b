"""Opening the socket of a dial: names are resolved here, because py-libp2p fails on every `/dns4` address."""

import os
import socket
from typing import Any

import trio

from peer.addresses import TcpAddress
from peer.errors import TransportError


async def open_socket(address: TcpAddress) -> trio.SocketStream:
    """Connect to the first place that accepts. The caller sets the deadline.

    Whatever is wrong with an address, a name or this machine ends the dial and nothing else: addresses come from
    others, and a dial is made in a task whose error would end the process.
    Raises: TransportError naming every place tried and why it failed.
    """
    try:
        places = await trio.socket.getaddrinfo(
            address.host, address.port, family=address.family, type=socket.SOCK_STREAM
        )
    except OSError as error:  # also gaierror
        raise TransportError(f"cannot resolve {address.host!r}: {error.strerror or error}") from error
    except ValueError as error:  # also UnicodeError: of IDNA, which takes less than the resolver does
        raise TransportError(f"cannot resolve {address.host!r}: {error}") from error
    causes = []
    for family, kind, protocol, _name, place in places:
        try:
            return await _connected(family, kind, protocol, place)
        except (OSError, ValueError) as error:
            causes.append(f"{place[0]}: {_reason(error)}")
    raise TransportError(f"cannot reach {address}: {'; '.join(causes) or 'no address'}")


async def _connected(family: int, kind: int, protocol: int, place: tuple[Any, ...]) -> trio.SocketStream:
    """Raises: OSError, also of making the socket: no descriptor is left, or the kernel has no IPv6. ValueError."""
    sock = trio.socket.socket(family, kind, protocol)
    try:
        await sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()  # trio's own text repeats the address
    return str(error)
