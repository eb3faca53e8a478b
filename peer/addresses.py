"""Multiaddrs as far as peers use them: `/ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>[/p2p/<peer id>]`."""

import ipaddress
import re
import socket
from dataclasses import dataclass

from peer.errors import ProtocolError
from peer.peer_ids import public_key_of
from peer.types import PeerId

MAX_ADDRESS_CHARS = 512

_USUAL_PORT = "4001"
"""The default of network.port."""

_FAMILY_OF = {
    "ip4": socket.AF_INET,
    "dns4": socket.AF_INET,
    "ip6": socket.AF_INET6,
    "dns6": socket.AF_INET6,
    "dns": socket.AF_UNSPEC,
}
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")
_MAX_LABEL_CHARS = 63
"""Of each part of a name between dots: RFC 1035, section 2.3.4. Longer and empty ones make the resolver raise."""

_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
"""What ends a name that is a number: https://url.spec.whatwg.org/#ends-in-a-number-checker."""

_SCOPE = re.compile(r"[A-Za-z0-9._-]{1,15}")
"""Of an IPv6 address: an interface, whose name has at most 15 bytes on Linux (IFNAMSIZ)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpAddress:
    """One place to dial, and who is expected there (None: whoever answers)."""

    kind: str
    host: str
    port: int
    peer: PeerId | None = None

    @property
    def family(self) -> socket.AddressFamily:
        return _FAMILY_OF[self.kind]

    @property
    def is_unspecified(self) -> bool:
        """Return whether the host means every address of a machine, as 0.0.0.0 does: good to listen on alone."""
        return self.kind in ("ip4", "ip6") and ipaddress.ip_address(self.host).is_unspecified

    @property
    def is_number(self) -> bool:
        """Return whether the host is a name that ends in a number.

        Resolvers read it as an IPv4 address, whatever the rest is: `127.1` is loopback, and `0` this machine.
        """
        return self.kind.startswith("dns") and bool(_NUMBER.fullmatch(self.host.rstrip(".").rpartition(".")[2]))

    def __str__(self) -> str:
        return f"/{self.kind}/{self.host}/tcp/{self.port}" + (f"/p2p/{self.peer}" if self.peer else "")


def parse_tcp_address(text: str) -> TcpAddress:
    """Parse a multiaddr. Raises: ValueError saying which part is wrong."""
    if len(text) > MAX_ADDRESS_CHARS:
        raise ValueError(f"an address has at most {MAX_ADDRESS_CHARS} characters, got {len(text)}")
    parts = text.split("/")
    if len(parts) not in (5, 7) or parts[0] or parts[3] != "tcp" or (len(parts) == 7 and parts[5] != "p2p"):
        meant = _as_multiaddr(text)
        hint = f"; did you mean {meant}?" if meant else ""
        raise ValueError(f"expected /ip4/<address>/tcp/<port>[/p2p/<peer id>], got {text!r}{hint}")
    kind, host = parts[1], parts[2]
    peer = _parse_peer(parts[6]) if len(parts) == 7 else None
    return TcpAddress(kind=kind, host=_parse_host(kind, host), port=_parse_port(parts[4]), peer=peer)


def _as_multiaddr(text: str) -> str | None:
    """Return what a host, or `host:port`, is as a multiaddr; None where `text` is neither."""
    if re.fullmatch("/(ip|dns)[46]?/[^/]+", text):
        place, port = text, _USUAL_PORT
    elif "/" in text or not re.search("[.:]", text):  # a word alone may be anything
        return None  # with a "/" in what would be the port, it would be no address either, and be asked about again
    else:
        host, colon, port = text.rpartition(":")
        if not colon or (":" in host and not host.endswith("]")):  # a colon of an IPv6 address
            host, port = text, _USUAL_PORT
        bare = host.removeprefix("[").removesuffix("]")  # as in URLs: [2001:db8::7]:4001
        kind = "ip6" if ":" in bare else "ip4" if bare.replace(".", "").isdecimal() else "dns4"
        place = f"/{kind}/{bare}"
    meant = f"{place}/tcp/{port}"
    return meant if is_dialable(meant) else None


def is_dialable(text: str) -> bool:
    """Return whether a transport can try to dial this text at all."""
    if text.startswith("/memory/"):  # of the in-memory network, where every address is good
        return True
    try:
        parse_tcp_address(text)
    except ValueError:
        return False
    return True


def with_peer(address: str, peer: PeerId) -> str:
    """Return a dialable address with the id of who must answer there."""
    return f"{split_peer(address)[0]}/p2p/{peer}"


def split_peer(address: str) -> tuple[str, PeerId | None]:
    """Return the place, and who must answer there, None for whoever does."""
    place, _, peer = address.partition("/p2p/")
    return place, PeerId(peer) if peer else None


def stands_for_one_place(text: str) -> bool:
    """Return whether a dialable address leads to the same place for ever; a name may have many, and others later."""
    return not text.startswith("/dns")


def bound_port(listening: tuple[str, ...]) -> int:
    """Return the port of the first address that a transport listens on."""
    return parse_tcp_address(listening[0]).port


def _parse_host(kind: str, host: str) -> str:
    if kind == "ip4":
        return str(ipaddress.IPv4Address(host))
    if kind == "ip6":
        return str(_parse_ip6(host))
    if kind not in _FAMILY_OF:
        raise ValueError(f"expected one of {', '.join(_FAMILY_OF)}, got {kind!r}")
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(f"not a host name: {host!r}")
    if not all(1 <= len(label) <= _MAX_LABEL_CHARS for label in host.removesuffix(".").split(".")):
        raise ValueError(f"expected 1 to {_MAX_LABEL_CHARS} characters between the dots of a host name, got {host!r}")
    return host


def _parse_ip6(host: str) -> ipaddress.IPv6Address:
    address = ipaddress.IPv6Address(host)
    if address.scope_id is not None and not _SCOPE.fullmatch(address.scope_id):
        raise ValueError(f"expected the name of an interface behind '%', got {host!r}")
    return address


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def _parse_peer(text: str) -> PeerId:
    try:
        public_key_of(text)
    except ProtocolError as error:
        raise ValueError(str(error)) from error
    return PeerId(text)
