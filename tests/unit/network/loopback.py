"""Peers on loopback for the libp2p tests, and the tools to mistreat them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from peer.addresses import parse_tcp_address
from peer.network.counters import new_counters
from peer.network.identity import Identity
from peer.network.libp2p_dial import open_socket
from peer.network.libp2p_guard import StreamGuard, reset_stream
from peer.network.libp2p_host import QuietHost, build_host
from peer.network.libp2p_transport import Libp2pSettings, Libp2pTransport, open_libp2p_transport
from peer.network.libp2p_upgrade import join_swarm, secure
from peer.types import PeerId

PATIENCE_S = 60.0
RUN_ID = "unit"


def peer_id(number: int) -> PeerId:
    return Identity.for_tests(number).peer_id


def settings(**changes: Any) -> Libp2pSettings:  # Any: fields of the settings
    return Libp2pSettings(**{"run_id": RUN_ID, "listen_address": "/ip4/127.0.0.1/tcp/0", **changes})


def open_peer(number: int, **changes: Any) -> AbstractAsyncContextManager[Libp2pTransport]:
    return open_libp2p_transport(settings(**changes), Identity.for_tests(number))


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # what is awaited is a state of a third party
            await trio.sleep(0.01)


async def echo(peer: PeerId, data: bytes) -> bytes:
    return data


async def assert_serves(transport: Libp2pTransport, number: int = 77) -> None:
    """Check with a fresh peer that `transport` still accepts connections and answers requests."""
    transport.handle("alive/1", echo)
    async with open_peer(number) as visitor:
        with trio.fail_after(PATIENCE_S):
            await visitor.connect(transport.listen_addresses[0])
            assert await visitor.request(transport.local_peer, "alive/1", b"?") == b"?"


class Attacker:
    """A libp2p peer without manners: it opens any stream and writes any bytes."""

    def __init__(self, host: QuietHost) -> None:
        self._host = host

    async def connect(self, address: str) -> None:
        stream = await open_socket(parse_tcp_address(address))
        secured = await secure(self._host.swarm, stream, new_counters(), is_initiator=True)
        await join_swarm(self._host.swarm, secured, lambda _muxed, _stream: None)

    async def open_stream(self, target: PeerId, protocol: str) -> INetStream:
        with trio.fail_after(PATIENCE_S):
            return await self._host.new_stream(ID.from_base58(target), [TProtocol(protocol)])

    def serve(self, protocol: str, take: Callable[[bytes], None], *, only_once: bool = False) -> None:
        """Hand what comes on streams of `protocol` to `take`. only_once: reset each stream after its first bytes."""

        async def listen(stream: INetStream) -> None:
            with suppress(Exception):  # the stream ends in one of many ways
                while data := await stream.read(65536):
                    take(data)
                    if only_once:
                        break
            await reset_stream(stream)

        self._host.set_stream_handler(TProtocol(protocol), listen)

    async def open_bare_stream(self, target: PeerId) -> INetStream:
        """Open a stream on which no protocol has been agreed."""
        with trio.fail_after(PATIENCE_S):
            return await self._host.swarm.new_stream(ID.from_base58(target))


@asynccontextmanager
async def open_attacker(number: int) -> AsyncIterator[Attacker]:
    guard = StreamGuard(new_counters(), max_peer_streams=10_000)
    host = build_host(settings(), Identity.for_tests(number), guard, lambda _conn: None)
    async with host.run([]):
        try:
            yield Attacker(host)
        finally:
            with trio.CancelScope(shield=True):
                await host.close()


async def is_reset(stream: INetStream) -> bool:
    """Return whether the other end ends the stream without another byte; waits until it does."""
    with trio.fail_after(PATIENCE_S):
        try:
            return await stream.read(1) == b""
        except Exception:  # a reset shows as one of several errors
            return True


async def refuses_stream(attacker: Attacker, target: PeerId, protocol: str) -> bool:
    """Return whether `target` resets a new stream, be it before the two have agreed on the protocol or after."""
    try:
        stream = await attacker.open_stream(target, protocol)
    except Exception:  # a reset shows as one of several errors
        return True
    return await is_reset(stream)


class Cable:
    """A TCP proxy that can be cut without either end being told, as by a firewall or a pulled plug."""

    def __init__(self, target: str) -> None:
        self._target = parse_tcp_address(target)
        self._cut = trio.Event()
        self.address = ""

    def cut(self) -> None:
        self._cut.set()

    async def run(self, ready: trio.Event) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.address = f"/ip4/127.0.0.1/tcp/{listeners[0].socket.getsockname()[1]}"
        ready.set()
        await trio.serve_listeners(self._carry, listeners)

    async def _carry(self, near: trio.SocketStream) -> None:
        far = await open_socket(self._target)
        async with far, trio.open_nursery() as nursery:
            nursery.start_soon(self._copy, near, far, nursery.cancel_scope)
            nursery.start_soon(self._copy, far, near, nursery.cancel_scope)

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            async for data in source:
                if self._cut.is_set():
                    await trio.sleep_forever()
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        if self._cut.is_set():
            await trio.sleep_forever()
        scope.cancel()


@asynccontextmanager
async def open_cable(target: str) -> AsyncIterator[Cable]:
    async with trio.open_nursery() as nursery:
        cable, ready = Cable(target), trio.Event()
        nursery.start_soon(cable.run, ready)
        await ready.wait()
        yield cable
        nursery.cancel_scope.cancel()
