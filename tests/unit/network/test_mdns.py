"""What is taken from mDNS answers, which anybody on the network can make up."""

from collections.abc import Sequence

import pytest
from zeroconf import EventLoopBlocked, ServiceStateChange, Zeroconf

from peer.errors import TransportError
from peer.network.discovery.mdns import MAX_ADDRESSES, MAX_SERVICES, MdnsDiscovery, dialable, service_type
from peer.network.identity import Identity

ME, OTHER = Identity.for_tests(1), Identity.for_tests(2)
OURS = ("5.9.8.7", "192.168.1.2")


def mdns_here(*, networks: Sequence[str] = OURS) -> MdnsDiscovery:
    mdns = MdnsDiscovery(
        run=b"r" * 16, peer=ME.peer_id, session=ME.session, announced=lambda: (), networks=lambda: networks
    )
    mdns._here = (), networks
    return mdns


def taken(*hosts: str, port: int | None = 4001, peer: str | None = OTHER.peer_id) -> list[str]:
    claimed = None if peer is None else peer.encode("utf-8")
    return dialable(hosts, port, claimed, me=ME.peer_id, networks=OURS)


def test_an_answer_of_a_neighbour_is_an_address_with_the_id_that_must_answer() -> None:
    assert taken("192.168.1.9") == [f"/ip4/192.168.1.9/tcp/4001/p2p/{OTHER.peer_id}"]
    assert taken("5.9.8.99") == [f"/ip4/5.9.8.99/tcp/4001/p2p/{OTHER.peer_id}"]  # beside our public address


@pytest.mark.parametrize("host", ["8.8.8.8", "127.0.0.1", "169.254.1.1", "224.0.0.251", "0.0.0.0", "::1", "x", ""])
def test_addresses_that_no_neighbour_can_have_are_not_dialled(host: str) -> None:
    assert taken(host) == []


@pytest.mark.parametrize(("port", "peer"), [(0, OTHER.peer_id), (70_000, OTHER.peer_id), (None, OTHER.peer_id),
                                            (4001, None), (4001, "12D3KooW"), (4001, "ä" * 52)])  # fmt: skip
def test_an_answer_that_is_not_of_a_peer_gives_nothing(port: int | None, peer: str | None) -> None:
    assert taken("192.168.1.9", port=port, peer=peer) == []


def test_another_process_with_our_identity_is_dialled_without_naming_it_so_that_it_is_noticed() -> None:
    assert taken("192.168.1.9", peer=ME.peer_id) == ["/ip4/192.168.1.9/tcp/4001"]


def test_one_answer_gives_a_bounded_number_of_addresses() -> None:
    assert len(taken(*(f"192.168.1.{number}" for number in range(1, 100)))) == MAX_ADDRESSES


def test_runs_have_service_types_of_their_own_within_the_length_that_dns_sd_allows() -> None:
    one, other = service_type(b"a" * 16), service_type(b"b" * 16)
    assert one != other
    assert len(one.partition(".")[0]) - 1 <= 15


def test_services_are_bounded_in_number_and_leave_when_they_say_goodbye() -> None:
    mdns = mdns_here()
    for number in range(MAX_SERVICES + 10):
        mdns._note(name=f"{number}", state_change=ServiceStateChange.Added)
    assert len(mdns._names) == MAX_SERVICES
    mdns._note(name="3", state_change=ServiceStateChange.Removed)
    mdns._note(name="new", state_change=ServiceStateChange.Added)
    assert "3" not in mdns._names
    assert "new" in mdns._names


def test_the_own_service_is_no_other_peer_however_it_is_spelt() -> None:
    mdns = mdns_here()
    for name in (mdns._own_name, mdns._own_name.upper()):
        mdns._note(name=name, state_change=ServiceStateChange.Added)
    assert not mdns._names


@pytest.mark.parametrize(
    "name", ["evil._http._tcp.local.", "x", "\x00.{type}", "a." * 60 + "{type}", "\u00e4" * 70 + ".{type}"]
)
async def test_names_that_are_none_are_forgotten_and_end_nothing(name: str) -> None:
    """Anybody on the network can announce them under the type of the run, with one packet."""
    mdns = mdns_here()
    mdns._zeroconf = Zeroconf.__new__(Zeroconf)  # opens nothing
    mdns._note(name=name.format(type=service_type(b"r" * 16)), state_change=ServiceStateChange.Added)
    assert await mdns.addresses() == []
    assert not mdns._names


async def test_library_that_hangs_is_an_error_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a pause of the whole process."""

    class Hanging:
        def __init__(self, *_: object) -> None: ...

        def load_from_cache(self, _zeroconf: Zeroconf) -> bool:
            return False

        def request(self, *_: object) -> bool:
            raise EventLoopBlocked

    mdns = mdns_here()
    mdns._zeroconf = Zeroconf.__new__(Zeroconf)  # as above
    monkeypatch.setattr("zeroconf.ServiceInfo", Hanging)
    mdns._note(name=f"a.{service_type(b'r' * 16)}", state_change=ServiceStateChange.Added)
    with pytest.raises(TransportError, match="mDNS does not answer"):
        await mdns.addresses()


async def test_a_machine_that_moves_listens_anew_where_it_is_then(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[list[str]] = []
    closed: list[list[str]] = []

    class Listening:
        def __init__(self, interfaces: list[str], **_: object) -> None:
            self.interfaces = interfaces
            opened.append(interfaces)

        def close(self) -> None:
            closed.append(self.interfaces)

    monkeypatch.setattr("zeroconf.Zeroconf", Listening)
    monkeypatch.setattr("zeroconf.ServiceBrowser", lambda *_, **__: None)
    networks = ["192.168.1.2"]
    mdns = MdnsDiscovery(
        run=b"r" * 16, peer=ME.peer_id, session=ME.session, announced=lambda: (), networks=lambda: tuple(networks)
    )
    await mdns.addresses()
    await mdns.addresses()
    mdns._note(name="there", state_change=ServiceStateChange.Added)
    networks[:] = ["10.0.0.7"]
    await mdns.addresses()
    assert (opened, closed) == ([["192.168.1.2"], ["10.0.0.7"]], [["192.168.1.2"]])
    assert not mdns._names, "what was heard there is not here"


async def test_a_machine_without_a_network_gets_an_error_that_says_so() -> None:
    mdns = mdns_here(networks=())
    with pytest.raises(TransportError, match="needs an interface"):
        await mdns.addresses()
    await mdns.aclose()
