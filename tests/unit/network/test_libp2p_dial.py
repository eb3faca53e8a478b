"""Whatever is wrong with an address or this machine ends a dial, and not the process."""

import errno
import os
import socket
import threading
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from peer.addresses import TcpAddress, parse_tcp_address
from peer.errors import TransportError
from peer.network import libp2p_dial
from peer.network.libp2p_dial import MAX_PLACES, open_socket
from peer.network.transport import Origin
from tests.unit.network.loopback import PATIENCE_S, open_peer, peer_id, settings


@pytest.mark.parametrize(
    ("kind", "host"),
    [
        ("dns4", "a..b"),
        ("dns4", "a" * 64 + ".example"),
        ("ip6", "2001:db8::1%" + "a" * 70),
        ("ip6", "2001:db8::1%\xe9"),
        ("ip6", "2001:db8::1%\ud800"),
        ("dns4", "a\x00b"),
    ],
)
async def test_what_the_resolver_does_not_take_is_a_transport_error(kind: str, host: str) -> None:
    with pytest.raises(TransportError, match="cannot resolve"):
        await open_socket(TcpAddress(kind=kind, host=host, port=4001))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EAFNOSUPPORT])
async def test_socket_that_cannot_be_made_is_a_transport_error(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: Any) -> None:  # Any: family, kind and protocol
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(trio.socket, "socket", refuse)
    with pytest.raises(TransportError, match=rf"192\.0\.2\.1: {os.strerror(number).lower()}"):
        await open_socket(TcpAddress(kind="ip4", host="192.0.2.1", port=4001))


async def test_place_that_no_socket_can_be_made_for_leaves_the_next_one_to_be_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = trio.socket.socket
    refused: list[tuple[Any, ...]] = []  # Any: as below

    def make_second(*arguments: Any) -> trio.socket.SocketType:  # Any: family, kind and protocol
        if not refused:
            refused.append(arguments)
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return make(*arguments)

    def two_places(_host: str, port: int, **_: Any) -> list[Any]:  # Any: as getaddrinfo
        place = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        return [place, place]

    monkeypatch.setattr(trio.socket, "socket", make_second)
    monkeypatch.setattr(socket, "getaddrinfo", two_places)
    monkeypatch.setattr(libp2p_dial, "NEXT_PLACE_S", 1000.0)  # of no matter to one that has failed
    with socket.create_server(("127.0.0.1", 0)) as server, trio.fail_after(PATIENCE_S):
        stream = await open_socket(TcpAddress(kind="dns", host="twice", port=server.getsockname()[1]))
        await stream.aclose()
    assert refused


async def test_places_of_a_name_that_do_not_answer_hold_up_the_others_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first one had the whole dial to itself, in the same order every time."""

    def three_places(_host: str, port: int, **_: Any) -> list[Any]:  # Any: as getaddrinfo
        hosts = ("192.0.2.1", "192.0.2.2", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

    async def connected(family: int, kind: int, protocol: int, place: Any) -> trio.SocketStream:  # Any: an address
        if place[0].startswith("192.0.2."):
            await trio.sleep_forever()
        return await connect(family, kind, protocol, place)

    connect = libp2p_dial._connected
    monkeypatch.setattr(socket, "getaddrinfo", three_places)
    monkeypatch.setattr(libp2p_dial, "_connected", connected)
    with socket.create_server(("127.0.0.1", 0)) as server, trio.fail_after(PATIENCE_S):
        stream = await open_socket(TcpAddress(kind="dns", host="thrice", port=server.getsockname()[1]))
        await stream.aclose()


async def test_every_place_of_a_name_comes_first_at_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds itself at the first of them must find the others another time."""

    def two_places(_host: str, _port: int, **_: Any) -> list[Any]:  # Any: as getaddrinfo
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", two_places)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        places = [one.getsockname(), other.getsockname()]
        found = set()
        for _ in range(64):
            stream = await open_socket(TcpAddress(kind="dns", host="twice", port=4001))
            found.add(stream.socket.getpeername())
            await stream.aclose()
    assert found == set(places)


async def test_a_name_of_thousands_of_places_is_dialled_at_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it could have everybody connect to all of them, with a line of 200 KB in the log."""
    tried = []

    def many_places(_host: str, port: int, **_: Any) -> list[Any]:  # Any: as getaddrinfo
        hosts = (f"192.0.2.{number % 250}" for number in range(4000))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

    async def connected(_family: int, _kind: int, _protocol: int, place: Any) -> trio.SocketStream:  # Any: an address
        tried.append(place)
        await trio.lowlevel.checkpoint()
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    monkeypatch.setattr(socket, "getaddrinfo", many_places)
    monkeypatch.setattr(libp2p_dial, "_connected", connected)
    with pytest.raises(TransportError, match="cannot reach") as raised:
        await open_socket(TcpAddress(kind="dns", host="many", port=4001))
    assert len(tried) == MAX_PLACES
    assert len(str(raised.value)) < 1000


async def test_names_whose_look_up_hangs_keep_no_thread_from_others(
    real_time: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver asks for half a minute and longer. All threads were taken then: no disk, no training."""
    answered, look_up = threading.Event(), socket.getaddrinfo

    def hang(host: str | bytes, *rest: Any, **options: Any) -> Any:  # Any: as getaddrinfo
        if ".example" in str(host) and threading.current_thread() is not threading.main_thread():
            answered.wait()
        return look_up(host, *rest, **options)

    async def dial(number: int) -> None:
        with pytest.raises(TransportError, match="timed out"):
            await one.connect(f"/dns4/n{number}.example/tcp/4001", origin=Origin.HEARSAY)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        async with open_peer(1) as one, open_peer(2) as other:
            async with trio.open_nursery() as nursery:
                for number in range(60):
                    nursery.start_soon(dial, number)
                while nursery.child_tasks:
                    await trio.sleep(0.01)
                    real_time.jump(settings().dial_timeout_s)
            with trio.fail_after(PATIENCE_S):
                await trio.to_thread.run_sync(lambda: None)
                named = f"/dns4/localhost/tcp/{parse_tcp_address(other.listen_addresses[0]).port}"
                assert await one.connect(named) == peer_id(2)
    finally:
        answered.set()
