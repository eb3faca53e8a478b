"""A socket that is written to: at once where there is room, and whole messages whatever becomes of the writer."""

import trio
import trio.testing

from peer.network.counters import new_counters
from peer.network.libp2p_tcp import CountedTcpStream
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
