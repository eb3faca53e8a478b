"""What every transport promises (peer/network/transport.py), asked of all of them.

The in-memory network runs in virtual time, libp2p on loopback in real time. Nothing here sleeps for a fixed time:
conditions are awaited, with deadlines that only a broken transport misses.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from peer.errors import IdentityInUseError, ProtocolError, TransportError
from peer.network.identity import Identity
from peer.network.libp2p_transport import Libp2pSettings, open_libp2p_transport
from peer.network.memory_network import LinkProfile
from peer.network.memory_transport import MemoryNetwork, open_memory_transport
from peer.network.transport import (
    MAX_GOSSIP_BYTES,
    MAX_MESSAGE_BYTES,
    Content,
    GossipMessage,
    PeerConnected,
    PeerDisconnected,
    RequestHandler,
    Transport,
    TransportEvent,
)
from peer.types import PeerId

PATIENCE_S = 30.0

KINDS = ("memory", "libp2p")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock(kind: str) -> MockClock:
    """Virtual time for the memory network, real time (rate 1) for sockets. Only tests that name it run by it."""
    return MockClock(autojump_threshold=0) if kind == "memory" else MockClock(rate=1.0)


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

    async def _live(self, number: int, gossip_queue: int, started: trio.Event) -> None:
        stop, ended = self._stops[number], self._ended[number]
        async with self._open(number, gossip_queue) as transport:
            self._transports[number] = transport
            started.set()
            await stop.wait()
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


@pytest.fixture
async def peers(kind: str, nursery: trio.Nursery) -> AsyncIterator[Peers]:
    swarm = Peers(kind, nursery)
    yield swarm
    for number in list(swarm._stops):
        await swarm.stop(number)


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


# Connections.


async def test_connect_tells_both_sides_who_the_other_is(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    assert one.connected_peers() == {peer_id(2)}
    assert other.connected_peers() == {peer_id(1)}
    assert await next_event(one) == PeerConnected(peer=peer_id(2))
    assert await next_event(other) == PeerConnected(peer=peer_id(1))


async def test_connect_with_the_right_id_in_the_address_succeeds(clock: MockClock, peers: Peers) -> None:
    one, other = await peers.start(1), await peers.start(2)
    assert await one.connect(f"{address_of(other)}/p2p/{peer_id(2)}") == peer_id(2)


async def test_connect_with_another_id_in_the_address_fails_and_leaves_no_connection(
    clock: MockClock, peers: Peers
) -> None:
    one, other = await peers.start(1), await peers.start(2)
    with pytest.raises(TransportError, match="identity differs"):
        await one.connect(f"{address_of(other)}/p2p/{peer_id(3)}")
    assert not one.connected_peers()
    assert one.counters()["dials_failed"] == 1
    assert await one.connect(address_of(other)) == peer_id(2)  # a failure blocks nothing


async def test_connect_to_oneself_fails(clock: MockClock, peers: Peers) -> None:
    one = await peers.start(1)
    with pytest.raises(TransportError, match="dialled ourselves"):
        await one.connect(address_of(one))
    assert not one.connected_peers()


async def test_connect_where_nobody_listens_fails_with_the_cause(clock: MockClock, peers: Peers) -> None:
    one = await peers.start(1)
    with pytest.raises(TransportError, match="refused"):
        await one.connect(peers.unused_address())
    assert one.counters()["dials_failed"] == 1


@pytest.mark.parametrize("address", ["", "/", "nonsense", "/ip4/1.2.3/tcp/1", "/ip4/127.0.0.1/tcp/70000", "/memory"])
async def test_connect_to_a_malformed_address_fails_with_a_transport_error(
    clock: MockClock, peers: Peers, address: str
) -> None:
    one = await peers.start(1)
    with pytest.raises(TransportError, match="cannot dial"):
        await one.connect(address)


async def test_connect_twice_makes_one_event(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    assert await one.connect(address_of(other)) == peer_id(2)
    assert pending_events(one) == [PeerConnected(peer=peer_id(2))]
    assert pending_events(other) == [PeerConnected(peer=peer_id(1))]


async def test_connect_from_both_sides_at_once_makes_one_event_and_one_disconnection(
    clock: MockClock, peers: Peers
) -> None:
    one, other = await peers.start(1), await peers.start(2)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one.connect, address_of(other))
            nursery.start_soon(other.connect, address_of(one))
    await until(lambda: bool(one.connected_peers() and other.connected_peers()))
    assert await next_event(one) == PeerConnected(peer=peer_id(2))
    await peers.stop(2)
    event = await next_event(one)
    assert isinstance(event, PeerDisconnected)
    assert event.peer == peer_id(2)
    assert not pending_events(one)
    assert not one.connected_peers()


async def test_disconnect_is_seen_on_both_sides_with_a_cause(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    await one.disconnect(peer_id(2))
    assert not one.connected_peers()
    await until(lambda: not other.connected_peers())
    for transport, peer in ((one, peer_id(2)), (other, peer_id(1))):
        assert await next_event(transport) == PeerConnected(peer=peer)
        event = await next_event(transport)
        assert isinstance(event, PeerDisconnected)
        assert event.peer == peer
        assert event.cause
    with pytest.raises(TransportError, match="not connected"):
        await one.request(peer_id(2), "echo/1", b"")


async def test_disconnect_from_a_stranger_does_nothing(clock: MockClock, peers: Peers) -> None:
    one, _ = await connected_pair(peers)
    await one.disconnect(peer_id(9))
    assert one.connected_peers() == {peer_id(2)}


async def test_stopped_peer_is_noticed_and_welcome_again_at_a_new_address(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    await next_event(one)
    old_address = address_of(other)
    await peers.stop(2)
    event = await next_event(one)
    assert isinstance(event, PeerDisconnected)
    assert event.cause
    with pytest.raises(TransportError):
        await one.connect(old_address)
    for _ in range(2):  # a second life and a third
        reborn = await peers.start(2)
        reborn.handle("echo/1", echo)
        assert await one.connect(address_of(reborn)) == peer_id(2)
        assert await next_event(one) == PeerConnected(peer=peer_id(2))
        assert await one.request(peer_id(2), "echo/1", b"hi") == peer_id(1).encode() + b":hi"
        await peers.stop(2)
        assert isinstance(await next_event(one), PeerDisconnected)


async def test_closed_transport_refuses_use(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    address = address_of(other)
    await peers.stop(1)
    for use in (
        partial(one.connect, address),
        partial(one.publish, b"late"),
        partial(one.request, peer_id(2), "echo/1", b""),
    ):
        with pytest.raises(TransportError):
            await use()


# One identity, several processes.


async def with_twins(peers: Peers) -> tuple[Transport, Transport, Transport]:
    """Return peer 1, and the two processes of identity 2 that are connected to it."""
    one, older = await connected_pair(peers)
    newer = await peers.start(2 + TWIN)
    assert await newer.connect(address_of(one)) == peer_id(1)
    await until(lambda: len(one.sessions_of(peer_id(2))) == 2)
    return one, older, newer


async def test_sessions_of_a_peer_are_those_of_the_processes_behind_its_connections(
    clock: MockClock, peers: Peers
) -> None:
    one, older, newer = await with_twins(peers)
    assert older.session != newer.session
    assert one.sessions_of(peer_id(2)) == {older.session, newer.session}
    assert older.sessions_of(peer_id(1)) == newer.sessions_of(peer_id(1)) == {one.session}
    assert one.sessions_of(peer_id(9)) == frozenset()
    assert [event for event in pending_events(one) if isinstance(event, PeerConnected)] == [
        PeerConnected(peer=peer_id(2))
    ]


async def test_a_request_for_a_session_reaches_that_process_alone(clock: MockClock, peers: Peers) -> None:
    one, older, newer = await with_twins(peers)

    def named(name: bytes) -> RequestHandler:
        async def answer(_peer: PeerId, _data: bytes) -> bytes:
            return name

        return answer

    older.handle("name/1", named(b"older"))
    newer.handle("name/1", named(b"newer"))
    for transport, name in ((older, b"older"), (newer, b"newer"), (older, b"older")):
        assert await one.request(peer_id(2), "name/1", b"", session=transport.session) == name
    with pytest.raises(TransportError, match="not connected"):
        await one.request(peer_id(2), "name/1", b"", session=one.session)


@pytest.mark.parametrize("keeps", ["older", "newer"])
async def test_keeping_a_session_closes_the_others_and_leaves_the_peer_connected(
    clock: MockClock, peers: Peers, keeps: str
) -> None:
    one, older, newer = await with_twins(peers)
    kept, parted = (newer, older) if keeps == "newer" else (older, newer)
    kept.handle("echo/1", echo)
    one.keep_session(peer_id(2), kept.session)
    assert one.sessions_of(peer_id(2)) == {kept.session}
    await until(lambda: not parted.connected_peers())
    assert await one.request(peer_id(2), "echo/1", b"hi") == peer_id(1).encode() + b":hi"
    assert one.connected_peers() == {peer_id(2)}
    assert not [event for event in pending_events(one) if isinstance(event, PeerDisconnected)]
    one.keep_session(peer_id(2), parted.session)  # which is not connected any more
    assert one.sessions_of(peer_id(2)) == {kept.session}


async def test_dialling_another_process_of_the_own_identity_is_told_from_dialling_oneself(
    clock: MockClock, peers: Peers
) -> None:
    one, twin = await peers.start(1), await peers.start(1 + TWIN)
    with pytest.raises(IdentityInUseError, match="our own identity"):
        await one.connect(address_of(twin))
    assert not one.connected_peers()
    assert not twin.connected_peers()


# Requests.


@pytest.mark.parametrize("size", [0, 1, 300_000, MAX_MESSAGE_BYTES])
async def test_request_of_any_size_up_to_the_bound_is_answered(clock: MockClock, peers: Peers, size: int) -> None:
    one, other = await connected_pair(peers)

    async def reverse(peer: PeerId, data: bytes) -> bytes:
        assert peer == peer_id(1)
        return data[::-1]

    other.handle("reverse/1", reverse)
    data = bytes(range(251)) * (size // 251 + 1)
    with trio.fail_after(PATIENCE_S):
        assert await one.request(peer_id(2), "reverse/1", data[:size]) == data[:size][::-1]


async def test_requests_go_both_ways_over_one_connection(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    one.handle("echo/1", echo)
    other.handle("echo/1", echo)
    assert await one.request(peer_id(2), "echo/1", b"a") == peer_id(1).encode() + b":a"
    assert await other.request(peer_id(1), "echo/1", b"b") == peer_id(2).encode() + b":b"


async def test_request_above_the_bound_is_the_callers_mistake(clock: MockClock, peers: Peers) -> None:
    one, _ = await connected_pair(peers)
    with pytest.raises(ValueError, match="bounded"):
        await one.request(peer_id(2), "echo/1", bytes(MAX_MESSAGE_BYTES + 1))


async def test_response_above_the_bound_fails_the_request_and_is_counted_by_the_server(
    clock: MockClock, peers: Peers
) -> None:
    one, other = await connected_pair(peers)

    async def too_much(peer: PeerId, data: bytes) -> bytes:
        return bytes(MAX_MESSAGE_BYTES + 1)

    other.handle("big/1", too_much)
    with trio.fail_after(PATIENCE_S), pytest.raises(TransportError):
        await one.request(peer_id(2), "big/1", b"")
    assert other.counters()["handler_errors"] == 1


@pytest.mark.parametrize(
    ("error", "counter"),
    [(RuntimeError("bug"), "handler_errors"), (ProtocolError("bad_thing", "refused"), "protocol_errors")],
)
async def test_handler_that_raises_fails_its_request_and_nothing_else(
    clock: MockClock, peers: Peers, error: Exception, counter: str
) -> None:
    one, other = await connected_pair(peers)

    async def fail(peer: PeerId, data: bytes) -> bytes:
        raise error

    other.handle("fail/1", fail)
    other.handle("echo/1", echo)
    for _ in range(3):
        with trio.fail_after(PATIENCE_S), pytest.raises(TransportError):
            await one.request(peer_id(2), "fail/1", b"")
    assert other.counters()[counter] == 3
    assert await one.request(peer_id(2), "echo/1", b"still here") == peer_id(1).encode() + b":still here"
    assert one.connected_peers() == {peer_id(2)}


async def test_request_of_a_protocol_that_nobody_serves_fails(clock: MockClock, peers: Peers) -> None:
    one, _ = await connected_pair(peers)
    with trio.fail_after(PATIENCE_S), pytest.raises(TransportError, match="nothing/1"):
        await one.request(peer_id(2), "nothing/1", b"")


async def test_request_to_a_peer_that_is_not_connected_fails_at_once(clock: MockClock, peers: Peers) -> None:
    one = await peers.start(1)
    with pytest.raises(TransportError, match="not connected"):
        await one.request(peer_id(2), "echo/1", b"")


async def test_callers_deadline_ends_a_slow_request_and_the_next_one_works(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)

    async def never(peer: PeerId, data: bytes) -> bytes:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    other.handle("never/1", never)
    other.handle("echo/1", echo)
    with pytest.raises(trio.TooSlowError), trio.fail_after(0.3):
        await one.request(peer_id(2), "never/1", b"")
    assert await one.request(peer_id(2), "echo/1", b"next") == peer_id(1).encode() + b":next"


async def test_fifty_requests_at_once_each_get_their_own_answer(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    other.handle("echo/1", echo)
    answers: dict[int, bytes] = {}

    async def ask(number: int) -> None:
        answers[number] = await one.request(peer_id(2), "echo/1", b"%d" % number * 1000)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, number)
    assert answers == {n: peer_id(1).encode() + b":" + b"%d" % n * 1000 for n in range(50)}


async def test_peer_that_vanishes_in_mid_request_fails_the_request(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    asked = trio.Event()

    async def hang(peer: PeerId, data: bytes) -> bytes:
        asked.set()
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    other.handle("hang/1", hang)
    failures = []

    async def ask() -> None:
        try:
            await one.request(peer_id(2), "hang/1", b"")
        except TransportError as error:
            failures.append(error)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await asked.wait()
            await peers.stop(2)
    assert len(failures) == 1


# Downloads.


def large(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


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


async def download(transport: Transport, size: int, *, max_bytes: int | None = None) -> bytes:
    received = bytearray()
    with trio.fail_after(PATIENCE_S):
        await transport.download(
            peer_id(2), "shelf/1", b"please", max_bytes=size if max_bytes is None else max_bytes, take=received.extend
        )
    return bytes(received)


@pytest.mark.parametrize("size", [0, 1, 65_536, 300_000, 5_000_000])
async def test_download_of_any_size_arrives_whole(clock: MockClock, peers: Peers, size: int) -> None:
    one, other = await connected_pair(peers)
    shelf = Shelf(memoryview(large(size)))
    other.handle_download("shelf/1", shelf.serve)
    assert await download(one, size) == large(size)
    await until(lambda: shelf.open == 0)


async def test_download_is_told_who_asks_and_for_what(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)

    @asynccontextmanager
    async def serve(peer: PeerId, data: bytes) -> AsyncIterator[Content]:
        await trio.lowlevel.checkpoint()
        yield peer.encode() + b":" + data

    other.handle_download("shelf/1", serve)
    assert await download(one, 1000) == peer_id(1).encode() + b":please"


async def test_download_above_the_bound_is_refused_before_any_of_it_is_taken(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    shelf = Shelf(large(2_000_000))
    other.handle_download("shelf/1", shelf.serve)
    taken: list[Content] = []
    with trio.fail_after(PATIENCE_S), pytest.raises(TransportError):
        await one.download(peer_id(2), "shelf/1", b"", max_bytes=1_999_999, take=taken.append)
    assert not taken
    assert one.counters()["frames_refused"] == 1
    await until(lambda: shelf.open == 0)


async def test_download_from_a_peer_that_vanishes_fails_with_what_came_before(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    content = large(20_000_000)
    other.handle_download("shelf/1", Shelf(content).serve)
    received, some = bytearray(), trio.Event()
    failures: list[TransportError] = []

    def take(part: Content) -> None:
        received.extend(part)
        some.set()

    async def ask() -> None:
        try:
            await one.download(peer_id(2), "shelf/1", b"", max_bytes=len(content), take=take)
        except TransportError as error:
            failures.append(error)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await some.wait()
            await peers.stop(2)
    assert len(failures) == 1
    assert content.startswith(received)


@pytest.mark.parametrize(
    ("error", "counter"),
    [(RuntimeError("bug"), "handler_errors"), (ProtocolError("bad_thing", "refused"), "protocol_errors")],
)
async def test_download_handler_that_raises_fails_its_download_and_nothing_else(
    clock: MockClock, peers: Peers, error: Exception, counter: str
) -> None:
    one, other = await connected_pair(peers)

    @asynccontextmanager
    async def fail(_peer: PeerId, _data: bytes) -> AsyncIterator[Content]:
        await trio.lowlevel.checkpoint()
        raise error
        yield b""

    other.handle_download("shelf/1", fail)
    with pytest.raises(TransportError):
        await download(one, 1000)
    assert other.counters()[counter] == 1
    other.handle_download("shelf/1", Shelf(b"fine").serve)
    assert await download(one, 1000) == b"fine"


async def test_download_that_nobody_serves_fails(clock: MockClock, peers: Peers) -> None:
    one, _ = await connected_pair(peers)
    with pytest.raises(TransportError, match="shelf/1"):
        await download(one, 1000)
    with pytest.raises(TransportError, match="not connected"):
        await one.download(peer_id(9), "shelf/1", b"", max_bytes=1, take=len)


async def test_download_given_up_frees_the_holder_and_the_next_one_works(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    shelf = Shelf(large(20_000_000))
    other.handle_download("shelf/1", shelf.serve)
    with trio.CancelScope() as scope:
        await one.download(peer_id(2), "shelf/1", b"", max_bytes=20_000_000, take=lambda _part: scope.cancel())
    await until(lambda: shelf.open == 0)
    assert await download(one, 20_000_000) == large(20_000_000)


async def test_downloads_at_once_and_requests_beside_them_do_not_mix(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    other.handle("echo/1", echo)
    contents = {f"shelf-{n}/1": large(1_000_000 + n)[n:] for n in range(4)}
    for protocol, content in contents.items():
        other.handle_download(protocol, Shelf(content).serve)
    received = {protocol: bytearray() for protocol in contents}

    async def pull(protocol: str) -> None:
        await one.download(peer_id(2), protocol, b"", max_bytes=2_000_000, take=received[protocol].extend)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for protocol in contents:
                nursery.start_soon(pull, protocol)
            for _ in range(10):
                assert await one.request(peer_id(2), "echo/1", b"?") == peer_id(1).encode() + b":?"
    assert received == contents


# Gossip.


class Listener:
    """Keeps what one peer receives."""

    def __init__(self, transport: Transport, nursery: trio.Nursery) -> None:
        self.transport = transport
        self.received: list[GossipMessage] = []
        nursery.start_soon(self._listen)

    async def _listen(self) -> None:
        async for message in self.transport.gossip:
            self.received.append(message)

    def count(self, data: bytes) -> int:
        return sum(message.data == data for message in self.received)


async def publish_until_heard(speaker: Transport, listeners: list[Listener], mark: bytes) -> None:
    """Publish until every listener has heard something of this mark: a mesh takes a moment to form."""
    with trio.fail_after(PATIENCE_S):
        attempt = 0
        while not all(any(m.data.startswith(mark) for m in listener.received) for listener in listeners):
            await speaker.publish(mark + b" %d" % attempt)
            attempt += 1
            await trio.sleep(0.1)


async def start_mesh(peers: Peers, nursery: trio.Nursery, count: int) -> tuple[list[Transport], list[Listener]]:
    """Start peers in which each is connected to each, and return when gossip flows from each to each."""
    transports = [await peers.start(number) for number in range(1, count + 1)]
    listeners = [Listener(transport, nursery) for transport in transports]
    for index, transport in enumerate(transports):
        for other in transports[:index]:
            await transport.connect(address_of(other))
    for index, transport in enumerate(transports):
        others = listeners[:index] + listeners[index + 1 :]
        await publish_until_heard(transport, others, b"warm-up of %d" % index)
    return transports, listeners


async def test_gossip_reaches_every_other_peer_exactly_once(
    clock: MockClock, peers: Peers, nursery: trio.Nursery
) -> None:
    transports, listeners = await start_mesh(peers, nursery, 4)
    marks = [b"from %d: %d" % (speaker, n) for speaker in range(4) for n in range(5)]
    for n, mark in enumerate(marks):
        await transports[n // 5].publish(mark)
    await until(
        lambda: all(
            listener.count(mark) >= 1
            for index, listener in enumerate(listeners)
            for n, mark in enumerate(marks)
            if n // 5 != index
        )
    )
    for index, transport in enumerate(transports):  # what was still under way overtakes nothing later
        await publish_until_heard(transport, listeners[:index] + listeners[index + 1 :], b"flush of %d" % index)
    for index, listener in enumerate(listeners):
        for n, mark in enumerate(marks):
            assert listener.count(mark) == (0 if n // 5 == index else 1), (index, mark)
        assert {message.forwarder for message in listener.received} <= listener.transport.connected_peers()


async def test_gossip_of_the_largest_size_arrives_and_above_it_is_refused(
    clock: MockClock, peers: Peers, nursery: trio.Nursery
) -> None:
    (one, _), (_, hearer) = await start_mesh(peers, nursery, 2)
    largest = b"x" * MAX_GOSSIP_BYTES
    await one.publish(largest)
    await until(lambda: hearer.count(largest) == 1)
    with pytest.raises(ValueError, match="bounded"):
        await one.publish(largest + b"x")


async def test_gossip_without_listeners_is_no_error(clock: MockClock, peers: Peers) -> None:
    one = await peers.start(1)
    await one.publish(b"anybody?")


async def test_gossip_burst_of_a_round_arrives_whole(clock: MockClock, peers: Peers, nursery: trio.Nursery) -> None:
    transports, listeners = await start_mesh(peers, nursery, 3)
    burst = [b"burst %d" % n for n in range(60)]
    for message in burst:
        await transports[0].publish(message)
    await until(lambda: all(listener.count(message) for listener in listeners[1:] for message in burst))


async def test_full_gossip_queue_drops_the_newest_and_counts_it(clock: MockClock, peers: Peers) -> None:
    one, other = await peers.start(1), await peers.start(2, gossip_queue=3)
    await one.connect(address_of(other))
    sent = 0
    with trio.fail_after(PATIENCE_S):
        while other.counters()["gossip_dropped"] < 2:
            await one.publish(b"%d" % sent)
            sent += 1
            await trio.sleep(0.02)
    kept = {int(other.gossip.receive_nowait().data) for _ in range(3)}
    assert len(kept) == 3  # in any order: gossip has none
    assert sent - 1 not in kept  # the dropped ones were younger
    with pytest.raises(trio.WouldBlock):
        other.gossip.receive_nowait()


async def test_gossip_flows_both_ways_after_a_restart_under_the_same_identity(
    clock: MockClock, peers: Peers, nursery: trio.Nursery
) -> None:
    transports, listeners = await start_mesh(peers, nursery, 3)
    for n in range(50):  # more than one a second: an old life's sequence numbers must not mute the new one
        await transports[2].publish(b"old life %d" % n)
    await until(lambda: all(listener.count(b"old life 49") for listener in listeners[:2]))
    await peers.stop(3)
    await until(lambda: all(peer_id(3) not in transport.connected_peers() for transport in transports[:2]))
    reborn = await peers.start(3)
    hearer = Listener(reborn, nursery)
    for transport in transports[:2]:
        await transport.connect(address_of(reborn))
    for n in range(5):
        await publish_until_heard(reborn, listeners[:2], b"new life %d" % n)
        await publish_until_heard(transports[0], [hearer], b"welcome %d" % n)
        await publish_until_heard(transports[1], [hearer], b"greetings %d" % n)


async def test_counters_name_all_that_the_contract_lists(clock: MockClock, peers: Peers) -> None:
    one, other = await connected_pair(peers)
    other.handle("echo/1", echo)
    await one.request(peer_id(2), "echo/1", b"x" * 1000)
    for transport in (one, other):
        counters = transport.counters()
        assert set(counters) == {
            "bytes_sent",
            "bytes_received",
            "gossip_dropped",
            "gossip_interrupted",
            "handler_errors",
            "protocol_errors",
            "dials_failed",
            "frames_refused",
            "floods_refused",
            "flooders_banned",
        }
        assert counters["bytes_sent"] >= 1000
        assert counters["bytes_received"] >= 1000


# Admission


async def strangers_pair(peers: Peers) -> tuple[Transport, Transport]:
    """Return two connected peers of which the first has admitted nobody; both answer `echo/1`, and `card/1` to all."""
    one, other = await connected_pair(peers)
    for transport in (one, other):
        transport.handle("echo/1", echo)
        transport.handle("card/1", echo, strangers=True)
    await trio.sleep(0.5)  # whatever a connection opens by itself is open, before the first has admitted nobody
    one.admit(frozenset())
    return one, other


async def test_a_peer_that_is_not_admitted_is_served_nothing_but_the_handshake(clock: MockClock, peers: Peers) -> None:
    one, other = await strangers_pair(peers)
    assert await other.request(peer_id(1), "card/1", b"who?") == peer_id(2).encode() + b":who?"
    with pytest.raises(TransportError):
        await other.request(peer_id(1), "echo/1", b"what?")
    assert one.counters()["protocol_errors"] == 1
    one.handle_download("shelf/1", Shelf(b"secret").serve)
    taken: list[Content] = []
    with pytest.raises(TransportError):
        await other.download(peer_id(1), "shelf/1", b"", max_bytes=100, take=taken.append)
    assert not taken


async def test_a_request_that_comes_before_admission_is_answered_after_it(clock: MockClock, peers: Peers) -> None:
    one, other = await strangers_pair(peers)
    answers: list[bytes] = []

    async def ask() -> None:
        answers.append(await other.request(peer_id(1), "echo/1", b"early"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(0.3)
        assert not answers
        one.admit(frozenset({peer_id(2)}))
    assert answers == [peer_id(2).encode() + b":early"]


async def test_gossip_passes_in_neither_direction_before_admission_and_in_both_after(
    clock: MockClock, peers: Peers
) -> None:
    one, other = await strangers_pair(peers)

    async def publish_for(seconds: float) -> None:
        for _ in range(int(seconds / 0.2)):
            await one.publish(b"ours")
            await other.publish(b"theirs")
            await trio.sleep(0.2)

    await publish_for(3.0)
    assert heard(one) == heard(other) == set()
    one.admit(frozenset({peer_id(2)}))
    both: dict[int, set[bytes]] = {1: set(), 2: set()}
    with trio.fail_after(PATIENCE_S):
        while both != {1: {b"theirs"}, 2: {b"ours"}}:
            await publish_for(0.4)
            both[1] |= heard(one)
            both[2] |= heard(other)


async def test_gossip_that_a_stranger_brought_in_vain_is_taken_from_another(clock: MockClock, peers: Peers) -> None:
    """It must not count as seen: whoever is admitted may bring the same message."""
    one, other = await strangers_pair(peers)
    third = await peers.start(3)
    await third.connect(address_of(other))
    one.admit(frozenset({peer_id(3)}))
    await one.connect(address_of(third))
    with trio.fail_after(PATIENCE_S):
        while b"from-3" not in heard(one):
            await third.publish(b"from-3")
            await trio.sleep(0.2)


async def test_a_peer_that_is_admitted_no_longer_is_served_no_longer(clock: MockClock, peers: Peers) -> None:
    one, other = await strangers_pair(peers)
    one.admit(frozenset({peer_id(2)}))
    assert await other.request(peer_id(1), "echo/1", b"hi") == peer_id(2).encode() + b":hi"
    one.admit(frozenset())
    with pytest.raises(TransportError):
        await other.request(peer_id(1), "echo/1", b"hi")


def heard(transport: Transport) -> set[bytes]:
    """Return what has come by gossip since the last look."""
    messages: set[bytes] = set()
    try:
        while True:
            messages.add(transport.gossip.receive_nowait().data)
    except trio.WouldBlock:
        return messages
