"""Numbered peers for the contract of transports: on the in-memory network, or on libp2p over loopback."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from peer.network.identity import Identity
from peer.network.libp2p_transport import Libp2pSettings, open_libp2p_transport
from peer.network.memory_network import LinkProfile
from peer.network.memory_transport import MemoryNetwork, open_memory_transport
from peer.network.transport import Content, Transport, TransportEvent
from peer.types import PeerId

PATIENCE_S = 60.0


class Peers:
    """Starts and stops numbered peers; peer 3 has the same identity in every life and every test, 103 its twin."""

    def __init__(self, kind: str, nursery: trio.Nursery) -> None:
        self._kind = kind
        self._nursery = nursery
        self._network = MemoryNetwork(seed=1, profile=LinkProfile(bytes_per_s=50e6))
        self._transports: dict[int, Transport] = {}
        self._lives: Counter[int] = Counter()
        self._stops: dict[int, trio.Event] = {}
        self._ended: dict[int, trio.Event] = {}
        self._failing: set[int] = set()

    async def start(self, number: int, *, gossip_queue: int = 1024) -> Transport:
        self._lives[number] += 1
        self._stops[number], self._ended[number] = trio.Event(), trio.Event()
        started = trio.Event()
        self._nursery.start_soon(self._live, number, gossip_queue, started)
        with trio.fail_after(PATIENCE_S):
            await started.wait()
        assert self._transports[number].local_peer == peer_id(number)
        return self._transports[number]

    async def stop(self, number: int) -> None:
        self._stops[number].set()
        with trio.fail_after(PATIENCE_S):
            await self._ended[number].wait()

    async def fail(self, number: int) -> None:
        """End a peer as a bug of its own does."""
        self._failing.add(number)
        await self.stop(number)
        self._failing.remove(number)

    async def stop_all(self) -> None:
        for number in list(self._stops):
            await self.stop(number)

    async def _live(self, number: int, gossip_queue: int, started: trio.Event) -> None:
        stop, ended = self._stops[number], self._ended[number]
        try:
            async with self._open(number, gossip_queue) as transport:
                self._transports[number] = transport
                started.set()
                await stop.wait()
                if number in self._failing:
                    raise _BugError
        except* _BugError:
            pass
        ended.set()

    def _open(self, number: int, gossip_queue: int) -> AbstractAsyncContextManager[Transport]:
        if self._kind == "memory":
            address = f"/memory/peer-{number}-life-{self._lives[number]}"
            session = identity_of(number).session
            return open_memory_transport(
                self._network, peer_id(number), address, session=session, gossip_queue=gossip_queue
            )
        settings = Libp2pSettings(
            run_id="contract",
            listen_address="/ip4/127.0.0.1/tcp/0",
            gossip_queue=gossip_queue,
            ping_timeout_s=15.0,  # all peers share one process, and that the machine with others
        )
        return open_libp2p_transport(settings, identity_of(number))

    def unused_address(self) -> str:
        return "/memory/nobody" if self._kind == "memory" else "/ip4/127.0.0.1/tcp/1"


class _BugError(Exception):
    """Ends a peer that is told to fail."""


TWIN = 100
"""Added to a peer's number, it stands for another process with the same identity."""


def identity_of(number: int) -> Identity:
    return Identity.for_tests(number % TWIN, life=number // TWIN)


def peer_id(number: int) -> PeerId:
    return identity_of(number).peer_id


def address_of(transport: Transport) -> str:
    return transport.listen_addresses[0]


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # what is awaited is a state of a third party
            await trio.sleep(0.01)


async def next_event(transport: Transport) -> TransportEvent:
    with trio.fail_after(PATIENCE_S):
        return await transport.events.receive()


def pending_events(transport: Transport) -> list[TransportEvent]:
    found = []
    while True:
        try:
            found.append(transport.events.receive_nowait())
        except trio.WouldBlock:
            return found


async def echo(peer: PeerId, data: bytes) -> bytes:
    return peer.encode() + b":" + data


async def connected_pair(peers: Peers) -> tuple[Transport, Transport]:
    one, other = await peers.start(1), await peers.start(2)
    assert await one.connect(address_of(other)) == peer_id(2)
    await until(lambda: peer_id(1) in other.connected_peers())
    return one, other


async def connected_from_both_sides(peers: Peers) -> tuple[Transport, Transport]:
    """Have two peers dial each other at once, several times, so that more than one connection leads to each."""
    one, other = await peers.start(1), await peers.start(2)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one.connect, address_of(other))
            nursery.start_soon(other.connect, address_of(one))
    await until(lambda: bool(one.connected_peers() and other.connected_peers()))
    return one, other


async def with_twins(peers: Peers) -> tuple[Transport, Transport, Transport]:
    """Return peer 1, and the two processes of identity 2 that are connected to it."""
    one, older = await connected_pair(peers)
    newer = await peers.start(2 + TWIN)
    assert await newer.connect(address_of(one)) == peer_id(1)
    await until(lambda: len(one.sessions_of(peer_id(2))) == 2)
    return one, older, newer


class Shelf:
    """Serves one content to all. open: how many downloads are being served."""

    def __init__(self, content: Content) -> None:
        self.open = 0
        self._content = content

    @asynccontextmanager
    async def serve(self, _peer: PeerId, _data: bytes) -> AsyncIterator[Content]:
        self.open += 1
        try:
            await trio.lowlevel.checkpoint()
            yield self._content
        finally:
            self.open -= 1
