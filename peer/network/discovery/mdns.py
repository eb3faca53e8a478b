"""Discovery by mDNS on the networks that this machine is attached to: peers of one run find each other by themselves.

Anybody on those networks can answer with anything, so an answer is worth a dial and no more: a bounded number of
services, a few addresses of each, and only such as a neighbour can have. Why zeroconf and not py-libp2p's own module:
docs/adr/0052.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import trio
import zeroconf

from peer.addresses import parse_tcp_address
from peer.errors import ProtocolError, TransportError
from peer.peer_ids import public_key_of
from peer.types import PeerId, Session

MAX_SERVICES = 64
MAX_ADDRESSES = 4
"""Of one service."""
_MAX_QUESTIONS = 8
_QUESTION_MS = 300.0
_SERVICE_TTL_S = 120


_Find = Callable[[], Sequence[str]]


def service_type(run: bytes) -> str:
    """Return the DNS-SD type of a run: peers of other runs do not even ask for each other. At most 15 characters."""
    return f"_mur-{run.hex()[:8]}._tcp.local."


class MdnsDiscovery:
    """Opened by the first look; close it with `aclose`.

    announced: returns the multiaddrs to tell others; only those of IPv4 are told. networks: returns this machine's own
    IPv4 addresses on the networks to use. When either gives something else than before, all begins anew.
    """

    name = "mDNS"

    def __init__(self, *, run: bytes, peer: PeerId, session: Session, announced: _Find, networks: _Find) -> None:
        self._type = service_type(run)
        self._own_name = f"{session.hex()}.{self._type}"
        self._peer = peer
        self._announced = announced
        self._networks = networks
        self._here: tuple[Sequence[str], Sequence[str]] = (), ()
        self._zeroconf: zeroconf.Zeroconf | None = None
        self._lock = threading.Lock()  # around `_names`, which zeroconf's own thread changes
        self._names: dict[str, None] = {}

    async def addresses(self) -> list[str]:
        """Return what has been heard so far; the first look only begins to listen.

        Raises: TransportError when multicast cannot be used here.
        """
        return await trio.to_thread.run_sync(self._look)

    async def aclose(self) -> None:
        """Take leave of the network."""
        if self._zeroconf is not None:
            with trio.CancelScope(shield=True):  # half a second: its thread must not outlive us
                await trio.to_thread.run_sync(self._zeroconf.close)

    def _look(self) -> list[str]:
        self._zeroconf = self._opened()
        with self._lock:
            names = list(self._names)
        found: set[str] = set()
        questions = _MAX_QUESTIONS
        for name in names:
            try:
                info = zeroconf.ServiceInfo(self._type, name)
                if not info.load_from_cache(self._zeroconf):
                    if questions == 0:
                        continue  # next time
                    questions -= 1
                    if not info.request(self._zeroconf, _QUESTION_MS):
                        continue
            except (zeroconf.EventLoopBlocked, zeroconf.NotRunningException) as error:
                raise TransportError(f"mDNS does not answer: {type(error).__name__}") from error
            except zeroconf.Error:  # what was announced under our type is no name of it
                self._forget(name)
                continue
            hosts = info.parsed_addresses(zeroconf.IPVersion.V4Only)
            found.update(dialable(hosts, info.port, info.properties.get(b"id"), me=self._peer, networks=self._here[1]))
        return sorted(found)

    def _opened(self) -> zeroconf.Zeroconf:
        """Return what listens where this machine is now."""
        try:
            here = self._announced(), self._networks()
        except OSError as error:
            raise TransportError(
                f"mDNS: this machine does not tell its addresses: {error.strerror or error}"
            ) from error
        if self._zeroconf is not None and here != self._here:
            self._zeroconf.close()
            self._zeroconf = None
            with self._lock:
                self._names.clear()
        self._here = here
        return self._zeroconf or self._open(*here)

    def _open(self, announced: Sequence[str], networks: Sequence[str]) -> zeroconf.Zeroconf:
        if not networks:
            raise TransportError("mDNS needs an interface with an IPv4 address, and there is none")
        try:
            opened = zeroconf.Zeroconf(interfaces=list(networks), ip_version=zeroconf.IPVersion.V4Only)
        except OSError as error:
            raise TransportError(f"mDNS cannot be used here: {error.strerror or error}") from error
        except zeroconf.Error as error:
            raise TransportError(f"mDNS does not start: {type(error).__name__}") from error
        try:
            own = self._service(announced)
            if own is not None:
                opened.register_service(own, ttl=_SERVICE_TTL_S)
            zeroconf.ServiceBrowser(opened, self._type, handlers=[self._note])
        except (zeroconf.Error, OSError) as error:
            opened.close()
            raise TransportError(f"mDNS cannot announce this peer: {error}") from error
        return opened

    def _service(self, announced: Sequence[str]) -> zeroconf.ServiceInfo | None:
        """Return what others are told, None when nothing is announced that can be told in this way."""
        places = [parse_tcp_address(address) for address in announced]
        ports = [place.port for place in places if place.kind == "ip4"]
        if not ports:
            return None
        hosts = [place.host for place in places if place.kind == "ip4" and place.port == ports[0]]
        return zeroconf.ServiceInfo(
            self._type,
            self._own_name,
            addresses=[socket.inet_aton(host) for host in hosts[:MAX_ADDRESSES]],
            port=ports[0],
            properties={"id": self._peer},
            server=f"{self._own_name.partition('.')[0]}.local.",
        )

    def _note(self, *, name: str, state_change: zeroconf.ServiceStateChange, **_: object) -> None:
        """Called by zeroconf, in its thread. Above the bound the newcomer is left out: the others are found first."""
        if state_change.name == "Removed":
            self._forget(name)
            return
        with self._lock:
            if name.lower() != self._own_name.lower() and len(self._names) < MAX_SERVICES:
                self._names[name] = None

    def _forget(self, name: str) -> None:
        with self._lock:
            self._names.pop(name, None)


def dialable(
    hosts: Iterable[str], port: int | None, peer: bytes | None, *, me: PeerId, networks: Sequence[str]
) -> list[str]:
    """Return the multiaddrs that an answer stands for, none when it is not one of a peer.

    peer: the id that it claims; the dial finds out. Our own is left out of the address: another process that has it
    must be dialled to be noticed.
    """
    if port is None or not 0 < port < 65_536 or peer is None:
        return []
    try:
        claimed = peer.decode("ascii")
        public_key_of(claimed)
    except (UnicodeDecodeError, ProtocolError):
        return []
    suffix = "" if claimed == me else f"/p2p/{claimed}"
    near = [host for host in hosts if _is_near(host, networks)]
    return [f"/ip4/{host}/tcp/{port}{suffix}" for host in near[:MAX_ADDRESSES]]


def _is_near(host: str, networks: Sequence[str]) -> bool:
    """Return whether a neighbour can have this address: a private one, or one beside an address of ours.

    Else anybody on the network could have us dial machines anywhere.
    """
    with suppress(ValueError):
        address = ipaddress.IPv4Address(host)
        if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
            return False
        return address.is_private or any(
            address in ipaddress.IPv4Network(f"{own}/24", strict=False) for own in networks
        )
    return False
