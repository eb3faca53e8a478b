"""Multiaddrs of peers: parsed strictly, because they come from other peers too."""

import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer import addresses
from peer.addresses import parse_tcp_address
from peer.network.identity import Identity

PEER = Identity.for_tests(1).peer_id


@pytest.mark.parametrize(
    ("text", "kind", "host", "port", "family"),
    [
        ("/ip4/127.0.0.1/tcp/4001", "ip4", "127.0.0.1", 4001, socket.AF_INET),
        ("/ip4/0.0.0.0/tcp/0", "ip4", "0.0.0.0", 0, socket.AF_INET),
        ("/ip6/::1/tcp/65535", "ip6", "::1", 65535, socket.AF_INET6),
        ("/dns4/peer/tcp/4001", "dns4", "peer", 4001, socket.AF_INET),
        ("/ip6/fe80::1%enp0s31f6.42/tcp/1", "ip6", "fe80::1%enp0s31f6.42", 1, socket.AF_INET6),
        ("/dns4/" + "a" * 63 + ".b/tcp/1", "dns4", "a" * 63 + ".b", 1, socket.AF_INET),
        ("/dns/my_project-peer.internal./tcp/1", "dns", "my_project-peer.internal.", 1, socket.AF_UNSPEC),
    ],
)
def test_address_is_parsed(text: str, kind: str, host: str, port: int, family: int) -> None:
    for suffix, peer in (("", None), (f"/p2p/{PEER}", PEER)):
        address = parse_tcp_address(text + suffix)
        assert (address.kind, address.host, address.port, address.family) == (kind, host, port, family)
        assert address.peer == peer
        assert str(address) == text + suffix


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "127.0.0.1:4001",
        "ip4/127.0.0.1/tcp/4001",
        "x/ip4/127.0.0.1/tcp/4001",
        "/ip4/127.0.0.1/tcp/4001/",
        "/ip4/127.0.0.1/udp/4001",
        "/ip4/127.0.0.1/tcp/65536",
        "/ip4/127.0.0.1/tcp/-1",
        "/ip4/127.0.0.1/tcp/4001x",
        "/ip4/127.0.0.1/tcp/٤٠٠١",
        "/ip4/127.0.0.1/tcp/",
        "/ip4/127.0.0.256/tcp/4001",
        "/ip4/peer/tcp/4001",
        "/ip6/127.0.0.1/tcp/4001",
        "/dns4//tcp/4001",
        "/dns4/a b/tcp/4001",
        "/dns4/-a/tcp/4001",
        "/dns4/a\x00b/tcp/4001",
        "/unix/socket/tcp/4001",
        "/ip4/127.0.0.1/tcp/4001/p2p/nobody",
        "/ip4/127.0.0.1/tcp/4001/ipfs/" + PEER,
        "/ip4/127.0.0.1/tcp/4001/p2p/" + PEER + "/p2p-circuit",
        "/dns4/" + "a" * 300 + "/tcp/1",
        "/dns4/a..b/tcp/1",
        "/dns4/" + "a" * 64 + ".example/tcp/1",
        "/ip6/2001:db8::1%/tcp/1",
        "/ip6/2001:db8::1%" + "a" * 16 + "/tcp/1",
        "/ip6/2001:db8::1%\xe9/tcp/1",
        "/ip6/2001:db8::1%a\x00/tcp/1",
        "/dns4/" + "a" * 100_000 + "/tcp/1",
    ],
)
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_tcp_address(text)


@given(st.text(max_size=80) | st.text(alphabet="/ip46dnstcp2:.0123456789", max_size=80))
def test_no_text_raises_anything_but_a_value_error(text: str) -> None:
    try:
        address = parse_tcp_address(text)
    except ValueError:
        return
    assert parse_tcp_address(str(address)) == address


@pytest.mark.parametrize(("size", "said"), [(512, "expected /ip4/"), (513, "at most 512 characters, got 513")])
def test_text_is_looked_at_up_to_512_characters(size: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_tcp_address("/" * size)


@given(st.text(alphabet="/:a1.", max_size=20))
def test_looking_for_what_was_meant_takes_one_look_more(text: str) -> None:
    """Cards bring addresses, so nobody is to make us parse one again and again."""
    looked_at: list[str] = []

    def parse(text: str) -> addresses.TcpAddress:
        looked_at.append(text)
        return parse_tcp_address(text)

    with pytest.MonkeyPatch.context() as patch, suppress(ValueError):
        patch.setattr(addresses, "parse_tcp_address", parse)
        parse_tcp_address(text)
    assert len(looked_at) <= 1
