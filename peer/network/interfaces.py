"""The network interfaces of this machine and their addresses, as Linux tells them."""

import fcntl
import ipaddress
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_SIOCGIFADDR = 0x8915  # linux/sockios.h
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 0x1
_IPV6_TABLE = Path("/proc/net/if_inet6")


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceAddress:
    """One address of one interface that is up. host: without the prefix length."""

    interface: str
    host: str


def interface_addresses() -> list[InterfaceAddress]:
    """Return what is up now, in the system's order: of each interface its first IPv4 address, and all IPv6 ones."""
    names = [name for _index, name in socket.if_nameindex()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        up = [name for name in names if _is_up(probe, name)]
        found = [InterfaceAddress(interface=name, host=host) for name in up if (host := _ipv4(probe, name))]
    return found + [address for address in _ipv6() if address.interface in up]


def _is_up(probe: socket.socket, name: str) -> bool:
    answer = _ask(probe, _SIOCGIFFLAGS, name)
    return answer is not None and bool(struct.unpack_from("<H", answer, 16)[0] & _IFF_UP)


def _ipv4(probe: socket.socket, name: str) -> str | None:
    answer = _ask(probe, _SIOCGIFADDR, name)
    return None if answer is None else socket.inet_ntoa(answer[20:24])


def _ask(probe: socket.socket, request: int, name: str) -> bytes | None:
    """Return the kernel's `struct ifreq`, None when the interface has no such thing or has just gone."""
    try:
        return fcntl.ioctl(probe.fileno(), request, struct.pack("256s", name.encode()[:15]))
    except OSError:
        return None


def _ipv6() -> list[InterfaceAddress]:
    try:
        lines = _IPV6_TABLE.read_text().splitlines()
    except OSError:  # a kernel without IPv6
        return []
    rows = [line.split() for line in lines]
    return [
        InterfaceAddress(interface=row[5], host=str(ipaddress.IPv6Address(bytes.fromhex(row[0]))))
        for row in rows
        if len(row) == 6
    ]
