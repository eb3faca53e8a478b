"""Opening the socket of a dial: names are resolved here, because py-libp2p fails on every `/dns4` address."""

import os
import socket

import trio

from peer.errors import TransportError
from peer.network.addresses import TcpAddress


async def open_socket(address: TcpAddress) -> trio.SocketStream:
    """Connect to the first place that accepts. The caller sets the deadline.

    Raises: TransportError naming every place tried and why it failed.
    """
    try:
        places = await trio.socket.getaddrinfo(
            address.host, address.port, family=address.family, type=socket.SOCK_STREAM
        )
    except OSError as error:  # also gaierror
        raise TransportError(f"cannot resolve {address.host!r}: {error.strerror or error}") from error
    causes = []
    for family, kind, protocol, _name, place in places:
        sock = trio.socket.socket(family, kind, protocol)
        try:
            await sock.connect(place)
            return trio.SocketStream(sock)
        except OSError as error:
            sock.close()
            causes.append(f"{place[0]}: {_reason(error)}")
        except BaseException:
            sock.close()
            raise
    raise TransportError(f"cannot reach {address}: {'; '.join(causes) or 'no address'}")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)  # trio's own text repeats the address
