"""Connections of libp2p peers: fast, by name, bounded, never blocked by an earlier failure, never leaking a slot."""

import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.rcmgr import Direction

from peer.addresses import TcpAddress, parse_tcp_address
from peer.errors import TransportError
from peer.network import libp2p_connector
from peer.network.counters import new_counters
from peer.network.identity import Identity
from peer.network.libp2p_connector import MAX_HANDSHAKES, MAX_OF_ONE_PEER
from peer.network.libp2p_dial import open_socket
from peer.network.libp2p_guard import StreamGuard
from peer.network.libp2p_host import build_host
from peer.network.libp2p_tcp import MAX_HANDSHAKE_BYTES, MAX_HANDSHAKE_READS
from peer.network.libp2p_transport import Libp2pTransport
from peer.network.libp2p_upgrade import secure
from peer.network.transport import ConnectionsTaken, Origin, PeerDisconnected, TransportEvent
from tests.unit.network.loopback import PATIENCE_S, assert_serves, open_cable, open_peer, peer_id, settings, until

RAW_GARBAGE = {
    "nothing": b"",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + b"\x00" * 100,
    "zeros": b"\x00" * 4096,
    "endless varint": b"\xff" * 4096,
    "half a greeting": b"\x13/multistream",
    "noise garbage": b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\x00\x20" + b"A" * 32 + b"\xff" * 500,
    "oversize noise frame": b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\xff\xff" + b"A" * 70_000,
}


@pytest.mark.parametrize("name", RAW_GARBAGE)
async def test_garbage_on_the_port_is_counted_and_the_peer_goes_on(name: str) -> None:
    async with open_peer(1) as victim:
        stream = await open_socket(parse_tcp_address(victim.listen_addresses[0]))
        async with stream:
            try:
                await stream.send_all(RAW_GARBAGE[name])
                await stream.send_eof()
            except trio.BrokenResourceError:
                pass  # it has hung up already
            await until(lambda: victim.counters()["frames_refused"] == 1)
        await assert_serves(victim)
        assert not victim.connected_peers() - {peer_id(77)}


def _line_of(size: int) -> bytes:
    """Return how a line begins that says it has so many bytes."""
    head = b""
    while size >= 0x80:
        head, size = head + bytes((size & 0x7F | 0x80,)), size >> 7
    return head + bytes((size,))


async def test_a_line_without_end_is_read_no_further_than_a_handshake_may_be_long() -> None:
    """Nobody has proved anything yet, and 256 may be at it at once."""
    async with open_peer(1) as victim:
        stream = await open_socket(parse_tcp_address(victim.listen_addresses[0]))
        with trio.fail_after(PATIENCE_S), suppress(trio.BrokenResourceError):
            await stream.send_all(_line_of(1 << 30) + bytes(32_000_000))
        await until(lambda: victim.counters()["frames_refused"] == 1)
        assert victim.counters()["bytes_received"] <= MAX_HANDSHAKE_BYTES
        await trio.aclose_forcefully(stream)


async def test_a_line_without_end_behind_the_proof_of_an_identity_is_read_no_further_either() -> None:
    async with open_peer(1) as victim:
        guard = StreamGuard(new_counters(), max_peer_streams=1)
        swarm = build_host(settings(), Identity.for_tests(2), guard, lambda _conn: None).swarm
        stream = await open_socket(parse_tcp_address(victim.listen_addresses[0]))
        secured = (await secure(swarm, stream, new_counters(), is_initiator=True)).secured
        with trio.fail_after(PATIENCE_S), suppress(ConnectionClosedError):
            await secured.write(_line_of(1 << 30))
            for _ in range(100):
                await secured.write(bytes(100_000))
        await until(lambda: not len(victim._connector._handshakes))
        assert victim.counters()["bytes_received"] < 1_000_000
        await secured.close()


@pytest.mark.parametrize("line", [b"\x01\n", b"\x03na\n", b"\x03ls\n", b"\x13/multistream/1.0.0\n"])
async def test_lines_without_number_are_answered_no_further_than_a_handshake_takes(line: bytes) -> None:
    """Each is read byte by byte: as many as fit into what a handshake may be long took seconds of CPU time."""
    async with open_peer(1) as victim:
        stream = await open_socket(parse_tcp_address(victim.listen_addresses[0]))
        with trio.fail_after(PATIENCE_S), suppress(trio.BrokenResourceError):
            await stream.send_all(RAW_GARBAGE["half a greeting"] + b"/1.0.0\n" + line * 30_000)
        await until(lambda: victim.counters()["frames_refused"] == 1)
        assert victim.counters()["bytes_received"] <= MAX_HANDSHAKE_READS * len(line)
        await trio.aclose_forcefully(stream)


async def test_silent_sockets_are_hung_up_and_block_nobody(real_time: trio.testing.MockClock) -> None:
    async with open_peer(1, dial_timeout_s=1000.0) as victim:
        address = parse_tcp_address(victim.listen_addresses[0])
        silent = [await open_socket(address) for _ in range(100)]
        await assert_serves(victim)
        assert victim.counters()["frames_refused"] == 0
        await until(lambda: len(victim._connector._handshakes) == 100)
        real_time.jump(1000.0)
        await until(lambda: victim.counters()["frames_refused"] == 100)
        for stream in silent:
            await stream.aclose()


async def test_hosts_that_fill_all_handshakes_keep_nobody_out() -> None:
    async def hold(host: str) -> trio.SocketStream:
        sock = trio.socket.socket()
        await sock.bind((host, 0))
        await sock.connect(("127.0.0.1", parse_tcp_address(victim.listen_addresses[0]).port))
        return trio.SocketStream(sock)

    async with open_peer(1, dial_timeout_s=1000.0) as victim:  # none of them is over before all are made
        held = [await hold(f"127.0.0.{2 + number % 2}") for number in range(MAX_HANDSHAKES + 20)]
        await until(lambda: len(victim._connector._handshakes) == MAX_HANDSHAKES)
        await until(lambda: victim.counters()["frames_refused"] == 20)
        await assert_serves(victim)
        for stream in held:
            await trio.aclose_forcefully(stream)


@pytest.mark.parametrize("offer", ["/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0"])
async def test_nothing_but_noise_is_offered(offer: str) -> None:
    async with open_peer(1) as victim:
        stream = await open_socket(parse_tcp_address(victim.listen_addresses[0]))
        async with stream:
            name = offer.encode() + b"\n"
            await stream.send_all(b"\x13/multistream/1.0.0\n" + bytes([len(name)]) + name)
            answer = b""
            with trio.fail_after(10):
                while not answer.endswith(b"\x03na\n"):
                    chunk = await stream.receive_some()
                    assert chunk, answer
                    answer += chunk
            assert offer.encode() not in answer


async def test_dial_does_not_wait_for_a_second_address(slow_time: trio.testing.MockClock) -> None:
    """py-libp2p's own dial takes 250 ms however near the peer; the quickest of five shows it, load or no load."""
    took = []
    async with open_peer(1) as one, open_peer(2) as other:
        for _ in range(5):
            start = trio.current_time()
            await one.connect(other.listen_addresses[0])
            took.append(trio.current_time() - start)
            await one.disconnect(peer_id(2))
    assert min(took) < 0.2


async def test_dial_by_name_resolves_it() -> None:
    async with open_peer(1) as one, open_peer(2) as other:
        port = parse_tcp_address(other.listen_addresses[0]).port
        for address in (f"/dns4/localhost/tcp/{port}", f"/dns/localhost/tcp/{port}/p2p/{peer_id(2)}"):
            assert await one.connect(address) == peer_id(2)
            await one.disconnect(peer_id(2))


async def test_dial_of_an_unknown_name_names_it() -> None:
    async with open_peer(1) as one:
        with pytest.raises(TransportError, match=r"cannot resolve 'no-such-host\.invalid'"):
            await one.connect("/dns4/no-such-host.invalid/tcp/4001")


async def test_dial_of_a_server_that_says_nothing_times_out() -> None:
    async with open_peer(1, dial_timeout_s=0.3) as one:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"/ip4/127.0.0.1/tcp/{server.getsockname()[1]}"
            with pytest.raises(TransportError, match=r"timed out: no handshake within 0\.3 s"):
                await one.connect(address)
        assert one.counters()["dials_failed"] == 1


async def test_hearsay_of_servers_that_say_nothing_does_not_hold_up_other_dials(nursery: trio.Nursery) -> None:
    """Each takes the connection, and holds its dial up until the deadline."""

    async def try_to_reach(address: str) -> None:
        with suppress(TransportError):
            await one.connect(address, origin=Origin.HEARSAY)

    silent = [(await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] for _ in range(20)]
    async with open_peer(1, dial_timeout_s=1000.0) as one, open_peer(2) as other:
        for listener in silent:
            nursery.start_soon(try_to_reach, f"/ip4/127.0.0.1/tcp/{listener.socket.getsockname()[1]}")
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(PATIENCE_S):
            assert await one.connect(other.listen_addresses[0]) == peer_id(2)
        nursery.cancel_scope.cancel()


async def test_addresses_that_take_no_connection_hold_up_the_others_for_a_moment_only(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes its TCP deadline, and two were dialled at a time: 99 of them held up the hundredth for minutes."""
    dead = 40

    async def open_or_wait(address: TcpAddress, **_: object) -> trio.SocketStream:
        if address.host == "192.0.2.1":
            await trio.sleep_forever()
        return await open_socket(address)

    async def try_to_reach(address: str) -> None:
        with suppress(TransportError):
            await one.connect(address)

    monkeypatch.setattr("peer.network.libp2p_connector.open_socket", open_or_wait)
    monkeypatch.setattr(libp2p_connector, "PROMPT_S", 0.01)
    monkeypatch.setattr(libp2p_connector, "TCP_TIMEOUT_S", 1000.0)
    async with open_peer(1, dial_timeout_s=1000.0) as one, open_peer(2) as other:
        for number in range(dead):
            nursery.start_soon(try_to_reach, f"/ip4/192.0.2.1/tcp/{4001 + number}")
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(PATIENCE_S):
            assert await one.connect(other.listen_addresses[0]) == peer_id(2)
        nursery.cancel_scope.cancel()


async def test_dial_of_a_server_of_another_kind_says_so(nursery: trio.Nursery) -> None:
    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n" * 20)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, greet, listeners)
    async with open_peer(1) as one:
        with pytest.raises(TransportError, match="no handshake as a libp2p peer"):
            await one.connect(f"/ip4/127.0.0.1/tcp/{listeners[0].socket.getsockname()[1]}")
    nursery.cancel_scope.cancel()


async def test_ended_connections_free_their_slots() -> None:
    """py-libp2p keeps a slot for each inbound connection until the process ends."""
    async with open_peer(1, max_connections=4) as host, open_peer(2) as guest:
        host.handle("alive/1", _echo)
        for _ in range(12):
            await guest.connect(host.listen_addresses[0])
            assert await guest.request(peer_id(1), "alive/1", b"x") == b"x"
            await guest.disconnect(peer_id(1))
            await until(lambda: not host.connected_peers())


async def test_connections_that_end_before_they_are_counted_hold_no_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """py-libp2p counts them afterwards, and for ever: a stranger that hangs up in time would take all slots."""
    start = SwarmConn.start

    async def end_first(conn: SwarmConn) -> None:
        if conn.direction is Direction.OUTBOUND:
            await start(conn)
            return
        await conn.close()
        conn.event_started.set()

    async with open_peer(1, max_connections=2) as host, open_peer(2) as guest:
        with monkeypatch.context() as patched:
            patched.setattr(SwarmConn, "start", end_first)
            for _ in range(2):
                with suppress(TransportError):  # or it learns a moment later
                    await guest.connect(host.listen_addresses[0])
                await until(lambda: not guest.connected_peers() and not len(host._connector._handshakes))
        assert not host._connector._swarm.connections
        assert not host._connections._sockets
        await assert_serves(host)


async def test_end_of_a_connection_is_known_as_soon_as_it_ends() -> None:
    """py-libp2p sleeps for 0.1 s before it says so."""
    async with open_peer(1) as one, open_peer(2) as other:
        await one.connect(other.listen_addresses[0])
        (conn,) = one._connections.all()
        await until(lambda: bool(other.connected_peers()))
        await other.disconnect(peer_id(1))
        with trio.fail_after(PATIENCE_S):
            await conn.event_closed.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert not one.connected_peers()


async def test_connections_above_the_limit_are_refused_and_the_others_stay() -> None:
    async with open_peer(1, max_connections=2) as host, open_peer(2) as two, open_peer(3) as three:
        host.handle("alive/1", _echo)
        await two.connect(host.listen_addresses[0])
        await three.connect(host.listen_addresses[0])
        await until(lambda: len(host.connected_peers()) == 2)
        async with open_peer(4) as four:
            with suppress(TransportError):  # or it learns a moment later
                await four.connect(host.listen_addresses[0])
            await until(lambda: not four.connected_peers())
        assert await two.request(peer_id(1), "alive/1", b"x") == b"x"
        assert await three.request(peer_id(1), "alive/1", b"x") == b"x"


async def test_strangers_that_hold_all_connections_give_way_and_are_told(
    real_time: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need no card to come, and could hold all slots for ever."""
    places, grace_s = 4, 100.0
    monkeypatch.setattr("peer.network.places.GRACE_S", grace_s)
    async with open_peer(1, max_connections=places) as host, AsyncExitStack() as stack:
        host.admit(frozenset())
        for number in range(10, 10 + places):
            stranger = await stack.enter_async_context(open_peer(number))
            with suppress(TransportError):
                await stranger.connect(host.listen_addresses[0])
        await until(lambda: len(host.connected_peers()) == places)
        real_time.jump(grace_s)
        friend = await stack.enter_async_context(open_peer(2))
        await friend.connect(host.listen_addresses[0])
        host.admit(frozenset({peer_id(2)}))
        for number in range(20, 20 + places):
            stranger = await stack.enter_async_context(open_peer(number))
            with suppress(TransportError):
                await stranger.connect(host.listen_addresses[0])
            real_time.jump(grace_s)
        assert peer_id(2) in host.connected_peers()
        assert len(host.connected_peers()) < places  # so that it dials, too
        told = [event for event in _events_of(host) if isinstance(event, ConnectionsTaken)]
        assert ConnectionsTaken(connections=places, strangers=places) in told


async def test_one_peer_has_a_few_connections_and_leaves_the_places_to_others() -> None:
    """Who was admitted does not give way to others: with one identity it had all places, and nobody else came in."""
    places = 8
    async with open_peer(1, max_connections=places) as host, open_peer(2) as friend:
        guard = StreamGuard(new_counters(), max_peer_streams=1)
        swarm = build_host(settings(), Identity.for_tests(3), guard, lambda _conn: None).swarm
        host.admit(frozenset({peer_id(3)}))
        held = []
        for _ in range(2 * places):
            stream = await open_socket(parse_tcp_address(host.listen_addresses[0]))
            secured = (await secure(swarm, stream, new_counters(), is_initiator=True)).secured
            await swarm.upgrader.muxer_multistream.select_transport(secured)
            held.append(secured)
            await until(lambda: peer_id(3) in host.connected_peers())
        await until(lambda: not len(host._connector._handshakes))
        assert len(host._connections.all()) == MAX_OF_ONE_PEER
        assert await friend.connect(host.listen_addresses[0]) == peer_id(1)
        await until(lambda: host.connected_peers() == {peer_id(2), peer_id(3)})
        assert not [event for event in _events_of(host) if isinstance(event, PeerDisconnected)]
        for secured in held:
            await secured.close()


def _events_of(transport: Libp2pTransport) -> Iterator[TransportEvent]:
    with suppress(trio.WouldBlock):
        while True:
            yield transport.events.receive_nowait()


async def test_cancelled_dial_leaves_nothing_behind() -> None:
    async with open_peer(1) as one, open_peer(2) as other:
        other.handle("alive/1", _echo)
        for _ in range(20):
            with trio.move_on_after(0.002):
                await one.connect(other.listen_addresses[0])
        await one.connect(other.listen_addresses[0])
        assert await one.request(peer_id(2), "alive/1", b"x") == b"x"


async def test_peer_behind_a_cut_cable_is_taken_back_without_waiting_for_pings() -> None:
    async with open_peer(1, ping_interval_s=3600, ping_timeout_s=0.3) as one, open_peer(2) as other:
        other.handle("alive/1", _echo)
        async with open_cable(other.listen_addresses[0]) as cable:
            await one.connect(cable.address)
            cable.cut()
            assert await one.connect(other.listen_addresses[0]) == peer_id(2)
            with trio.fail_after(10):
                assert await one.request(peer_id(2), "alive/1", b"x") == b"x"


async def test_port_in_use_is_an_error_that_says_what_to_do() -> None:
    async with open_peer(1) as one:
        with pytest.raises(TransportError, match="another process uses this port"):
            async with open_peer(2, listen_address=one.listen_addresses[0]):
                raise AssertionError("two peers on one port")


async def test_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(TransportError, match="this machine has no such address"):
        async with open_peer(1, listen_address="/ip4/192.0.2.7/tcp/0"):
            raise AssertionError("listened on a foreign address")


async def test_listening_everywhere_announces_an_address_that_can_be_dialled() -> None:
    async with open_peer(1, listen_address="/ip4/0.0.0.0/tcp/0") as one, open_peer(2) as other:
        (address,) = one.listen_addresses
        assert "0.0.0.0" not in address
        assert await other.connect(address) == peer_id(1)


async def _echo(peer: str, data: bytes) -> bytes:
    return data
