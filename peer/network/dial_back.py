"""Whom a peer dials because another one asks it to: the rule that keeps it from being a port scanner. Pure.

Only literal IP addresses, and of those only
- the very address that the asker is connected from, on whatever port it announces;
- a public one, which the asker has signed for in its card, on a port that needs no privileges;
- a private one of the network that the asker is connected from (IPv4: the same /24, IPv6: the same /64), likewise.
Loopback, link-local, multicast and the rest of the private ranges are never dialled for somebody else: they would be
our own machine and our own network, which the asker has no business in. docs/adr/0041 has the reasons.
"""

import ipaddress

from peer.addresses import parse_tcp_address
from peer.network.announce import IpAddress, ip_address, literal_host

_FIRST_UNPRIVILEGED_PORT = 1024
_NEIGHBOURHOOD = {4: 24, 6: 64}


def may_dial_back(address: str, *, remote_host: str | None) -> bool:
    """Return whether to dial `address` for an asker that is connected from `remote_host`."""
    try:
        target = parse_tcp_address(address)
        remote = ip_address(remote_host or "")
    except ValueError:
        return False
    host = literal_host(target)
    if host is None or target.port == 0 or host.is_unspecified or host.is_multicast:
        return False
    if host == remote:
        return True
    if host.is_loopback or host.is_link_local or target.port < _FIRST_UNPRIVILEGED_PORT:
        return False
    return host.is_global or _is_neighbour(host, remote)


def _is_neighbour(host: IpAddress, remote: IpAddress) -> bool:
    if host.version != remote.version or remote.is_global or remote.is_loopback:
        return False
    network = ipaddress.ip_network(f"{remote}/{_NEIGHBOURHOOD[remote.version]}", strict=False)
    return host in network
