"""What a peer announces, what it passes on, and whom it dials back: tables of addresses, no network."""

import pytest

from peer.errors import TransportError
from peer.network.announce import Announced, announced_addresses, may_pass_on
from peer.network.dial_back import may_dial_back
from peer.network.interfaces import InterfaceAddress, interface_addresses

HOST = [
    InterfaceAddress(interface=name, host=host)
    for name, host in [
        ("lo", "127.0.0.1"),
        ("eth0", "192.168.1.5"),
        ("docker0", "172.17.0.1"),
        ("br-0a1b2c", "172.18.0.1"),
        ("veth12ab", "172.19.0.1"),
        ("virbr0", "192.168.122.1"),
        ("tailscale0", "100.101.102.103"),
        ("usb0", "169.254.3.4"),
        ("lo", "::1"),
        ("eth0", "2001:db8::5"),
        ("eth0", "fe80::1"),
    ]
]
EVERYWHERE = "/ip4/0.0.0.0/tcp/4001"


def test_real_interfaces_are_announced_and_loopback_to_this_machine_only() -> None:
    found = announced_addresses(EVERYWHERE, HOST)
    real = ("/ip4/192.168.1.5/tcp/4001", "/ip4/100.101.102.103/tcp/4001")
    assert found == Announced(public=real, local=("/ip4/127.0.0.1/tcp/4001", *real))


def test_listener_on_ipv6_announces_ipv6_without_link_local() -> None:
    found = announced_addresses("/ip6/::/tcp/4001", HOST)
    assert found.public == ("/ip6/2001:db8::5/tcp/4001",)
    assert found.local == ("/ip6/::1/tcp/4001", "/ip6/2001:db8::5/tcp/4001")


def test_listener_on_loopback_announces_nothing_to_other_machines() -> None:
    found = announced_addresses("/ip4/127.0.0.1/tcp/7", HOST)
    assert found == Announced(public=(), local=("/ip4/127.0.0.1/tcp/7",))


def test_listener_on_one_address_announces_that_one() -> None:
    found = announced_addresses("/ip4/192.168.1.5/tcp/7", HOST)
    assert found == Announced(public=("/ip4/192.168.1.5/tcp/7",), local=("/ip4/192.168.1.5/tcp/7",))


def test_interface_of_a_vpn_is_announced_alone() -> None:
    found = announced_addresses(EVERYWHERE, HOST, interface="tailscale0")
    assert found.public == ("/ip4/100.101.102.103/tcp/4001",)


def test_interface_of_loopback_announces_nothing_to_other_machines() -> None:
    found = announced_addresses(EVERYWHERE, HOST, interface="lo")
    assert found == Announced(public=(), local=("/ip4/127.0.0.1/tcp/4001",))


def test_announce_goes_before_interface() -> None:
    given = ("/dns4/me.example.org/tcp/9",)
    assert announced_addresses(EVERYWHERE, HOST, announce=given, interface="tailscale0").public == given


@pytest.mark.parametrize(
    ("listening", "interface", "words"),
    [
        (EVERYWHERE, "tun0", "tun0 has no IPv4 address.*eth0"),
        (EVERYWHERE, "usb0", "usb0 has no IPv4 address"),
        ("/ip4/192.168.1.5/tcp/1", "tailscale0", "listen_host is 192.168.1.5"),
    ],
)
def test_interface_that_cannot_be_announced_is_an_error_that_says_why(
    listening: str, interface: str, words: str
) -> None:
    with pytest.raises(TransportError, match=words):
        announced_addresses(listening, HOST, interface=interface)


def test_this_machine_has_loopback() -> None:
    assert InterfaceAddress(interface="lo", host="127.0.0.1") in interface_addresses()


@pytest.mark.parametrize(
    ("address", "remote", "expected"),
    [
        ("/ip4/192.0.2.7/tcp/4001", "198.51.100.1", True),
        ("/dns4/peer.example.org/tcp/4001", None, True),
        ("/ip4/127.0.0.1/tcp/4001", "127.0.0.1", True),
        ("/ip4/127.0.0.1/tcp/4001", "192.0.2.7", False),
        ("/ip4/127.0.0.1/tcp/4001", None, False),
        ("/ip6/::1/tcp/4001", "2001:db8::1", False),
        ("/dns4/localhost./tcp/4001", "127.0.0.1", False),
        ("/dns4/a.localhost/tcp/4001", "127.0.0.1", False),
        ("/dns4/localhost.localdomain/tcp/4001", "192.0.2.7", False),
        ("/ip6/::ffff:127.0.0.1/tcp/4001", "192.0.2.7", False),
        ("/ip6/::ffff:127.0.0.1/tcp/4001", "::ffff:127.0.0.1", True),
        ("/ip6/::ffff:169.254.1.1/tcp/4001", "192.0.2.7", False),
        ("/ip6/::ffff:0.0.0.0/tcp/4001", "192.0.2.7", False),
        ("/ip6/::ffff:192.0.2.7/tcp/4001", "198.51.100.1", True),
        ("/ip6/2001:db8::1%eth0/tcp/4001", "2001:db8::1", False),
        ("/dns4/127.1/tcp/4001", "192.0.2.7", False),
        ("/dns4/0x7f000001/tcp/4001", "192.0.2.7", False),
        ("/dns4/0X7F.1./tcp/4001", "192.0.2.7", False),
        ("/dns/0/tcp/4001", "192.0.2.7", False),
        ("/dns4/2130706433/tcp/4001", "192.0.2.7", False),
        ("/dns4/peer.0x/tcp/4001", "192.0.2.7", False),
        ("/dns4/peer-7/tcp/4001", "192.0.2.7", True),
        ("/dns4/10.example/tcp/4001", "192.0.2.7", True),
        ("/ip4/0.0.0.1/tcp/4001", "192.0.2.7", False),
        ("/ip4/169.254.1.1/tcp/4001", "192.0.2.7", False),
        ("/ip6/fe80::1/tcp/4001", "192.0.2.7", False),
        ("/ip4/224.0.0.1/tcp/4001", "192.0.2.7", False),
        ("/ip4/0.0.0.0/tcp/4001", "192.0.2.7", False),
        ("/ip4/192.0.2.7/tcp/0", "192.0.2.7", False),
        ("/ip4/192.0.2.7/udp/1", "192.0.2.7", False),
    ],
)
def test_addresses_are_passed_on_only_where_they_can_mean_the_peer(
    address: str, remote: str | None, *, expected: bool
) -> None:
    assert may_pass_on(address, remote_host=remote) is expected


@pytest.mark.parametrize(
    ("address", "remote", "expected"),
    [
        ("/ip4/203.0.113.9/tcp/4001", "203.0.113.9", True),  # where it is connected from, any port
        ("/ip4/203.0.113.9/tcp/22", "203.0.113.9", True),
        ("/ip4/127.0.0.1/tcp/4001", "127.0.0.1", True),
        ("/ip4/8.8.8.8/tcp/4001", "203.0.113.9", True),  # public, and signed for
        ("/ip4/8.8.8.8/tcp/53", "203.0.113.9", False),  # a privileged port of somebody else
        ("/ip4/10.0.0.9/tcp/4001", "10.0.0.5", True),  # of the asker's own network
        ("/ip4/10.0.1.9/tcp/4001", "10.0.0.5", False),
        ("/ip4/10.0.0.9/tcp/4001", "8.8.8.8", False),  # our network, not the asker's
        ("/ip4/127.0.0.1/tcp/4001", "10.0.0.5", False),
        ("/ip4/127.0.0.2/tcp/4001", "127.0.0.1", False),
        ("/ip4/169.254.169.254/tcp/8080", "10.0.0.5", False),
        ("/ip4/169.254.169.254/tcp/8080", "169.254.169.1", False),
        ("/ip4/100.64.0.9/tcp/4001", "8.8.8.8", False),
        ("/ip6/fd00::9/tcp/4001", "fd00::5", True),
        ("/ip6/fd00:1::9/tcp/4001", "fd00::5", False),
        ("/ip6/::ffff:10.0.0.9/tcp/4001", "8.8.8.8", False),  # a private IPv4 in the clothes of IPv6
        ("/ip6/::ffff:127.0.0.1/tcp/4001", "10.0.0.5", False),
        ("/ip6/::ffff:169.254.169.254/tcp/8080", "10.0.0.5", False),
        ("/ip6/::ffff:8.8.8.8/tcp/53", "203.0.113.9", False),
        ("/ip4/203.0.113.9/tcp/22", "::ffff:203.0.113.9", True),
        ("/dns4/victim.example.org/tcp/4001", "8.8.8.8", False),  # a name could come to mean anything
        ("/ip4/8.8.8.8/tcp/4001", None, False),
    ],
)
def test_dial_back_goes_to_the_asker_and_scans_no_ports(address: str, remote: str | None, *, expected: bool) -> None:
    assert may_dial_back(address, remote_host=remote) is expected
