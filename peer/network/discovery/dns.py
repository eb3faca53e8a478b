"""Discovery by a name that resolves to every peer, as the service name does in Docker Compose and Kubernetes."""

import socket
from collections.abc import Callable, Collection

import trio

from peer.errors import TransportError
from peer.network.discovery.source import without_own


class DnsDiscovery:
    """All addresses of `service` of one family, each with the same `port`.

    own_addresses: called at each look-up, for what to leave out; a name may come to stand for us while we
    run. family: the one that we listen on, as the other peers of a service do; one of the other kind would be refused.
    """

    def __init__(
        self,
        service: str,
        *,
        port: int,
        own_addresses: Callable[[], Collection[str]],
        family: socket.AddressFamily = socket.AF_INET,
    ) -> None:
        self._service = service
        self._port = port
        self._family = family
        self._kind = "ip6" if family == socket.AF_INET6 else "ip4"
        self._own_addresses = own_addresses

    @property
    def name(self) -> str:
        return f"dns {self._service}:{self._port}"

    async def addresses(self) -> list[str]:
        """Resolve anew. Raises: TransportError with the cause: the name is unknown, or no resolver answers."""
        try:
            found = await trio.socket.getaddrinfo(
                self._service, self._port, family=self._family, type=socket.SOCK_STREAM
            )
        except OSError as error:  # also gaierror
            raise TransportError(f"cannot resolve {self._service!r}: {error.strerror or error}") from error
        except UnicodeError as error:  # raised for an empty label or one of more than 63 characters
            raise TransportError(f"{self._service!r} is no host name: {error}") from error
        hosts = {str(place[0]) for _family, _kind, _protocol, _name, place in found}
        return without_own([f"/{self._kind}/{host}/tcp/{self._port}" for host in hosts], self._own_addresses())
