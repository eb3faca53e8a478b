"""Which address a listener on all of them is said to have, and that it tells when it cannot accept."""

import errno
import socket

import pytest
import trio

from peer.addresses import TcpAddress, parse_tcp_address
from peer.network import libp2p_listener
from peer.network.interfaces import InterfaceAddress
from peer.network.libp2p_listener import bound_addresses, open_listeners
from peer.network.transport import AcceptFailed
from tests.descriptors import no_descriptor_left
from tests.unit.network.loopback import PATIENCE_S, assert_serves, open_peer


@pytest.mark.parametrize(("interfaces", "host"), [(("lo", "eth0"), "10.77.0.1"), (("lo",), "127.0.0.1")])
async def test_without_a_route_to_the_outside_it_is_that_of_a_real_interface(
    monkeypatch: pytest.MonkeyPatch, interfaces: tuple[str, ...], host: str
) -> None:
    hosts = {"lo": "127.0.0.1", "eth0": "10.77.0.1"}
    here = [InterfaceAddress(interface=name, host=hosts[name]) for name in interfaces]
    monkeypatch.setattr(libp2p_listener, "interface_addresses", lambda: here)
    listeners = await open_listeners(TcpAddress(kind="ip4", host="0.0.0.0", port=0))
    monkeypatch.setattr(socket, "socket", NoRoute)
    (address,) = bound_addresses(listeners)
    monkeypatch.undo()
    assert address.startswith(f"/ip4/{host}/tcp/")
    for listener in listeners:
        await trio.aclose_forcefully(listener)


class NoRoute(socket.socket):
    def connect(self, address: object, /) -> None:
        raise OSError(errno.ENETUNREACH, f"no route to {address}")


async def test_a_process_without_a_free_descriptor_says_that_nobody_can_connect_and_takes_them_once_there_is() -> None:
    async with open_peer(1) as peer:
        address = parse_tcp_address(peer.listen_addresses[0])
        with socket.socket() as dialler:
            with no_descriptor_left():
                dialler.connect((address.host, address.port))
                with trio.fail_after(PATIENCE_S):
                    event = await peer.events.receive()
            assert event == AcceptFailed(cause="too many open files; raise the limit of open files (ulimit -n)")
        await assert_serves(peer)
