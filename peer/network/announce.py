"""Which addresses a peer tells others, and which of those it hears it may pass on. Pure.

A wrong address costs every peer of the swarm a dial that fails, again and again, so nothing is announced that others
cannot mean us by: loopback (only to peers on loopback), link-local, and the bridges that containers and virtual
machines hang on, whose addresses are the same on every machine.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from peer.addresses import TcpAddress, parse_tcp_address
from peer.errors import TransportError
from peer.network.interfaces import InterfaceAddress

MAX_ANNOUNCED = 8
"""As many as a card holds."""

_BRIDGES = (
    "docker",
    "br-",
    "veth",
    "virbr",
    "vmnet",
    "vboxnet",
    "cni",
    "flannel",
    "cali",
    "lxc",
    "lxd",
    "podman",
    "kube-",
)

_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
"""Never a destination: RFC 1122, section 3.2.1.3."""

_LOCAL_NAMES = ("localhost", "localdomain")
"""Last parts of names that mean whoever asks: RFC 6761, section 6.3, and what /etc/hosts makes of it."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What we tell others. public: everybody. local: what peers on this machine are told, loopback included."""

    public: tuple[str, ...]
    local: tuple[str, ...]


def announced_addresses(
    listening: str,
    interfaces: Sequence[InterfaceAddress],
    *,
    announce: Sequence[str] = (),
    interface: str | None = None,
) -> Announced:
    """Return what to announce for a listener on `listening`, an address whose port is the one really bound.

    announce: goes before everything else. interface: only the addresses of this one.
    Raises: TransportError when `interface` has no address of the listener's family.
    """
    bound = parse_tcp_address(listening)
    host = ipaddress.ip_address(bound.host)
    if announce:
        public = tuple(announce)
    elif interface is not None:
        public = _of_interface(interface, bound, host, interfaces)
    elif host.is_unspecified:
        public = tuple(_multiaddr(each, bound.port) for each in _real(interfaces, version=host.version))
    else:
        public = () if host.is_loopback else (_multiaddr(host, bound.port),)
    loopback = ("127.0.0.1" if host.version == 4 else "::1") if host.is_unspecified else str(host)
    local = (f"/ip{host.version}/{loopback}/tcp/{bound.port}",) if is_loopback(loopback) else ()
    return Announced(public=public[:MAX_ANNOUNCED], local=(*local, *public)[:MAX_ANNOUNCED])


def multicast_addresses(interfaces: Sequence[InterfaceAddress], *, interface: str | None = None) -> tuple[str, ...]:
    """Return our IPv4 addresses on the networks where others may be: not loopback, and no bridges.

    interface: only that of this one.
    """
    if interface is not None:
        interfaces = [each for each in interfaces if each.interface == interface]
    return tuple(str(each) for each in _real(interfaces, version=4))


def may_pass_on(address: str, *, remote_host: str | None) -> bool:
    """Return whether to tell a peer at `remote_host` of `address`, or to believe it when it tells us.

    remote_host: where the peer is connected from; None: unknown, which is nobody's loopback.
    """
    if address.startswith("/memory/"):  # of the in-memory network, where every address is good
        return True
    try:
        target = parse_tcp_address(address)
    except ValueError:
        return False
    if target.port == 0:
        return False
    host = literal_host(target)
    if host is None:
        return not target.is_number and target.host.rstrip(".").lower().rpartition(".")[2] not in _LOCAL_NAMES
    if host.is_loopback:
        return is_loopback(remote_host)
    if host in _THIS_NETWORK or _has_scope(host):
        return False
    return not (host.is_unspecified or host.is_link_local or host.is_multicast)


def is_loopback(host: str | None) -> bool:
    """Return whether `host` is an address of the machine's own loopback."""
    try:
        return host is not None and ip_address(host).is_loopback
    except ValueError:
        return False


def literal_host(address: TcpAddress) -> IpAddress | None:
    """Return the IP address that is meant, None for a name."""
    return ip_address(address.host) if address.kind in ("ip4", "ip6") else None


def ip_address(text: str) -> IpAddress:
    """Return the address that packets go to: of an IPv4 address written as IPv6, the former. Raises: ValueError."""
    host = ipaddress.ip_address(text)
    return getattr(host, "ipv4_mapped", None) or host


def _has_scope(host: IpAddress) -> bool:
    """Return whether `host` names an interface: of the machine that says so, which is not ours."""
    return isinstance(host, ipaddress.IPv6Address) and host.scope_id is not None


def _of_interface(
    name: str, bound: TcpAddress, host: IpAddress, interfaces: Sequence[InterfaceAddress]
) -> tuple[str, ...]:
    found = [ipaddress.ip_address(each.host) for each in interfaces if each.interface == name]
    usable = [each for each in found if each.version == host.version and not each.is_link_local]
    if not usable:
        others = ", ".join(sorted({each.interface for each in interfaces})) or "none"
        raise TransportError(
            f"network.interface: {name} has no IPv{host.version} address: is it up (ip address show {name})?"
            f" Interfaces with addresses: {others}"
        )
    if not host.is_unspecified and host not in usable:
        raise TransportError(
            f"network.interface: {name} has {_listed(usable)}, but network.listen_host is {host}: expected 0.0.0.0 or"
            f" an address of {name}"
        )
    return tuple(_multiaddr(each, bound.port) for each in usable if not each.is_loopback)


def _real(interfaces: Iterable[InterfaceAddress], *, version: int) -> list[IpAddress]:
    found = []
    for each in interfaces:
        host = ipaddress.ip_address(each.host)
        if host.version != version or host.is_loopback or host.is_link_local or each.interface.startswith(_BRIDGES):
            continue
        found.append(host)
    return found


def _multiaddr(host: IpAddress, port: int) -> str:
    return f"/ip{host.version}/{host}/tcp/{port}"


def _listed(hosts: Iterable[IpAddress]) -> str:
    return ", ".join(str(host) for host in hosts)
