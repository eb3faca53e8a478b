"""What stands for one host where hosts are limited. Pure."""

import ipaddress
from functools import lru_cache

_IPV6_NETWORK_BITS = 64
"""A host of IPv6 has all addresses of its network to itself if it likes (RFC 4291, section 2.5.4; RFC 7934)."""


@lru_cache(maxsize=1024)  # asked for everything that a stranger sends
def host_key(address: str) -> str:
    """Return the IPv4 address, or the network of an IPv6 one; text that is no address as it is."""
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(host, ipaddress.IPv4Address):
        return str(host)
    if host.ipv4_mapped is not None:
        return str(host.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(host), _IPV6_NETWORK_BITS), strict=False))
