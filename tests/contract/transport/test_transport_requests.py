"""Requests and their answers."""

import pytest
import trio
from trio.testing import MockClock

from peer.errors import ProtocolError, TransportError
from peer.network.transport import MAX_MESSAGE_BYTES
from peer.types import PeerId
from tests.contract.transport.peers import PATIENCE_S, Peers, connected_pair, echo, peer_id


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


@pytest.mark.parametrize(("error", "counter"), [(RuntimeError, "handler_errors"), (ProtocolError, "protocol_errors")])
async def test_handler_that_raises_fails_its_request_and_nothing_else(
    clock: MockClock, peers: Peers, error: type[Exception], counter: str
) -> None:
    one, other = await connected_pair(peers)

    async def fail(peer: PeerId, data: bytes) -> bytes:
        raise error("bad_thing", "refused")

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
