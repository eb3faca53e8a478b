"""Which addresses are one host to the limits."""

import pytest

from peer.network.host_key import host_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8:0:7::1", "2001:db8:0:7:ffff:ffff:ffff:ffff"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_addresses_that_one_machine_can_have_at_will_are_one_host(one: str, other: str) -> None:
    assert host_key(one) == host_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8:0:7::1", "2001:db8:0:8::1"), ("::1", "127.0.0.1"), ("gone", "192.0.2.1")],
)
def test_others_are_not(one: str, other: str) -> None:
    assert host_key(one) != host_key(other)
