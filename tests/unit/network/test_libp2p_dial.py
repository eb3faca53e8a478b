"""Whatever is wrong with an address or this machine ends a dial, and not the process."""

import errno
import os
import socket
from typing import Any

import pytest
import trio

from peer.addresses import TcpAddress
from peer.errors import TransportError
from peer.network.libp2p_dial import open_socket


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

    async def two_places(_host: str, port: int, **_: Any) -> list[Any]:  # Any: as getaddrinfo
        place = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        return [place, place]

    monkeypatch.setattr(trio.socket, "socket", make_second)
    monkeypatch.setattr(trio.socket, "getaddrinfo", two_places)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = await open_socket(TcpAddress(kind="dns", host="twice", port=server.getsockname()[1]))
        await stream.aclose()
    assert refused
