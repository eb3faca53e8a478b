"""A socket that is written to: at once where there is room, and whole messages whatever becomes of the writer."""

import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError

import peer.network.libp2p_tcp
from peer.network.counters import new_counters
from peer.network.libp2p_tcp import LEAST_TAKEN_BYTES, CountedTcpStream
from tests.unit.network.loopback import PATIENCE_S


async def test_what_needs_no_waiting_is_sent_without_a_turn_of_the_event_loop() -> None:
    near, far = trio.socket.socketpair()
    tcp = CountedTcpStream(trio.SocketStream(near), new_counters())
    with trio.testing.assert_no_checkpoints():
        await tcp.write(b"at once")
    assert await far.recv(100) == b"at once"


async def test_what_a_cancelled_write_has_left_goes_out_before_the_next() -> None:
    """Half of an encrypted message on the wire would make everything behind it unreadable."""
    near, far = trio.socket.socketpair()
    tcp = CountedTcpStream(trio.SocketStream(near), new_counters())
    data, received = bytes(5_000_000), bytearray()
    with trio.move_on_after(0.05) as scope:
        await tcp.write(data)
    assert scope.cancelled_caught
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tcp.write, b"next")
            while len(received) < len(data) + 4:
                received += await far.recv(65_536)
    assert received == data + b"next"


async def test_memory_may_be_used_anew_while_a_write_waits() -> None:
    """All connections seal into the same memory, and one that has to wait must not send another's bytes."""
    near, far = trio.socket.socketpair()
    tcp = CountedTcpStream(trio.SocketStream(near), new_counters())
    data, received = bytearray(b"a" * 5_000_000), bytearray()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tcp.write, data)
            await trio.testing.wait_all_tasks_blocked()
            data[:] = b"b" * len(data)
            while len(received) < len(data):
                received += await far.recv(65_536)
    assert received.count(b"a") == len(data)


async def test_what_the_socket_has_no_room_for_is_kept_by_who_does_not_wait() -> None:
    near, far = trio.socket.socketpair()
    tcp = CountedTcpStream(trio.SocketStream(near), new_counters())
    data, received = bytearray(b"a" * 5_000_000), bytearray()
    with trio.testing.assert_no_checkpoints():
        assert tcp.write_now(b"at once")
        assert not tcp.has_unsent
        assert not tcp.write_now(data)
        assert tcp.has_unsent
    data[:] = b"b" * len(data)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tcp.flush)
            while len(received) < 7 + len(data):
                received += await far.recv(65_536)
    assert received == b"at once" + b"a" * len(data)


async def test_socket_that_takes_nothing_is_given_up_for_who_writes_and_who_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peer.network.libp2p_tcp, "STALL_S", 0.2)
    near, _far = trio.socket.socketpair()
    tcp = CountedTcpStream(trio.SocketStream(near), new_counters())
    with trio.fail_after(PATIENCE_S):
        with pytest.raises(ConnectionClosedError, match="it took"):
            await tcp.write(bytes(5_000_000))
        await tcp.wait_for_bytes()
    assert tcp.read_now(memoryview(bytearray(10))) == 0


async def test_writers_that_are_cancelled_before_the_time_do_not_prolong_it(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(peer.network.libp2p_tcp, "STALL_S", 0.2)
    near, _far = trio.socket.socketpair()
    tcp = CountedTcpStream(trio.SocketStream(near), new_counters())
    with trio.move_on_after(0.15):
        await tcp.write(bytes(5_000_000))
    with pytest.raises(ConnectionClosedError, match="it took"), trio.fail_after(0.15):
        await tcp.flush()


async def test_socket_that_takes_a_little_in_time_is_not_given_up(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(peer.network.libp2p_tcp, "STALL_S", 0.4)
    near, far = trio.socket.socketpair()  # which counts the kernel's own bytes among what is not taken: hence twice
    tcp, size, received = CountedTcpStream(trio.SocketStream(near), new_counters()), 16 * LEAST_TAKEN_BYTES, 0
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tcp.write, bytes(size))
            while received < size:
                await trio.sleep(0.2)
                end = min(size, received + 2 * LEAST_TAKEN_BYTES)
                while received < end:
                    received += len(await far.recv(end - received))
    assert tcp.stalled is None
