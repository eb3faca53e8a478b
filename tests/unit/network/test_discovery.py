"""Discovery: every address of a name, none of our own, causes instead of crashes."""

import socket
from typing import Any

import pytest
import trio

from peer.errors import TransportError
from peer.network.discovery.dns import DnsDiscovery
from peer.network.discovery.source import DiscoverySource
from peer.network.discovery.static import StaticDiscovery


class Resolver(trio.abc.HostnameResolver):
    """Answers with the hosts given, as Docker's resolver does for a scaled service, or raises."""

    def __init__(
        self, hosts: list[str] | None = None, ipv6_hosts: list[str] | None = None, error: Exception | None = None
    ) -> None:
        self.hosts = hosts or []
        self.ipv6_hosts = ipv6_hosts or []
        self.error = error
        self.asked: list[tuple[Any, ...]] = []

    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, *rest: int, **named: int) -> Any:
        self.asked.append((host, port))
        if self.error is not None:
            raise self.error
        hosts = self.ipv6_hosts if family == socket.AF_INET6 else self.hosts
        return [(family, socket.SOCK_STREAM, 6, "", (found, port)) for found in hosts]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


def use(resolver: Resolver) -> Resolver:
    trio.socket.set_custom_hostname_resolver(resolver)
    return resolver


async def test_dns_returns_every_replica_once_in_one_order_without_ourselves() -> None:
    use(Resolver(["10.0.0.4", "10.0.0.2", "10.0.0.3", "10.0.0.2"]))
    source: DiscoverySource = DnsDiscovery("peer", port=4001, own_addresses=lambda: ["/ip4/10.0.0.3/tcp/4001"])
    assert await source.addresses() == ["/ip4/10.0.0.2/tcp/4001", "/ip4/10.0.0.4/tcp/4001"]
    assert source.name == "dns peer:4001"


async def test_dns_asks_anew_each_time_because_replicas_come_and_go() -> None:
    resolver = use(Resolver(["10.0.0.2"]))
    source = DnsDiscovery("peer", port=4001, own_addresses=list)
    assert await source.addresses() == ["/ip4/10.0.0.2/tcp/4001"]
    resolver.hosts = ["10.0.0.9"]
    assert await source.addresses() == ["/ip4/10.0.0.9/tcp/4001"]


async def test_dns_of_a_lone_peer_finds_nobody() -> None:
    use(Resolver(["10.0.0.2"]))
    source = DnsDiscovery("peer", port=4001, own_addresses=lambda: ["/ip4/10.0.0.2/tcp/4001"])
    assert await source.addresses() == []


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        OSError(24, "Too many open files"),
        UnicodeError("label too long"),
    ],
)
async def test_dns_failure_names_the_service_and_the_cause(error: Exception) -> None:
    use(Resolver(error=error))
    source = DnsDiscovery("peer", port=4001, own_addresses=list)
    with pytest.raises(TransportError, match="'peer'"):
        await source.addresses()


async def test_dns_resolves_a_real_name() -> None:
    source = DnsDiscovery("localhost", port=4001, own_addresses=list)
    assert await source.addresses() == ["/ip4/127.0.0.1/tcp/4001"]


async def test_dns_of_peers_that_listen_on_ipv6_gives_their_ipv6_addresses() -> None:
    use(Resolver(["10.0.0.2"], ["2001:db8::2", "2001:db8::3"]))
    own = ["/ip6/2001:db8::3/tcp/4001"]
    source = DnsDiscovery("peer", port=4001, own_addresses=lambda: own, family=socket.AF_INET6)
    assert await source.addresses() == ["/ip6/2001:db8::2/tcp/4001"]


async def test_list_leaves_out_ourselves_and_duplicates() -> None:
    given = ["/ip4/10.0.0.3/tcp/1", "/dns4/seed/tcp/1", "/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.3/tcp/1"]
    source: DiscoverySource = StaticDiscovery(given, own_addresses=lambda: ["/ip4/10.0.0.2/tcp/1"])
    assert await source.addresses() == ["/dns4/seed/tcp/1", "/ip4/10.0.0.3/tcp/1"]


@pytest.mark.parametrize(
    ("ports", "name"),
    [((1, 2, 3), "2 given addresses"), ((1, 2, 2), "1 given address"), ((1,), "no other given addresses")],
)
def test_list_counts_where_others_may_be(ports: tuple[int, ...], name: str) -> None:
    given = [f"/ip4/127.0.0.1/tcp/{port}" for port in ports]
    assert StaticDiscovery(given, own_addresses=lambda: ["/ip4/127.0.0.1/tcp/1"]).name == name


def test_list_with_a_malformed_address_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.2:4001"):
        StaticDiscovery(["/ip4/10.0.0.3/tcp/1", "10.0.0.2:4001"], own_addresses=list)
