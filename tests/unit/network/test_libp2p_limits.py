"""Floods against a real transport: cut down, counted, and the flooder shown the door; others notice nothing."""

import secrets
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError

from peer.addresses import parse_tcp_address
from peer.errors import TransportError
from peer.network.counters import new_counters
from peer.network.flood import Rate
from peer.network.libp2p_dial import open_socket
from peer.network.libp2p_limits import MAX_CONNECTS_AT_ONCE, STRANGERS_ANSWERS, PeerLimits
from peer.network.libp2p_transport import Libp2pTransport
from peer.network.libp2p_upgrade import secure
from peer.network.transport import PeerConnected, PeerDisconnected
from peer.types import PeerId
from peer.wire.limits import MAX_ALLOW_LIST_BYTES
from tests.unit.network.loopback import (
    PATIENCE_S,
    assert_serves,
    echo,
    open_attacker,
    open_peer,
    peer_id,
    settings,
    until,
)

LIMITS = {"gossip_rate": 10.0, "request_rate": 2.0, "ban_s": 100.0}
"""So low that a flooder reaches them on the busiest machine."""


async def flood_gossip(flooder: Libp2pTransport, victim: Libp2pTransport) -> None:
    with suppress(Exception):  # it is cut off in the middle
        while victim.counters()["flooders_banned"] == 0:
            await flooder.publish(secrets.token_bytes(64))
            await trio.sleep(0.002)  # publishing alone need not let others run


async def flood_requests(flooder: Libp2pTransport, victim: Libp2pTransport) -> None:
    while victim.counters()["flooders_banned"] == 0:
        with suppress(TransportError):
            await flooder.request(victim.local_peer, "echo/1", b"again")


@pytest.mark.parametrize("flood", [flood_gossip, flood_requests])
async def test_a_flooder_is_disconnected_refused_for_a_while_and_welcome_after(
    flood: object, real_time: trio.testing.MockClock
) -> None:
    async with open_peer(1, **LIMITS) as victim, open_peer(2) as flooder, open_peer(3) as honest:
        victim.handle("echo/1", echo)
        for other in (flooder, honest):
            await other.connect(victim.listen_addresses[0])
            assert isinstance(await victim.events.receive(), PeerConnected)
        with trio.fail_after(PATIENCE_S):
            await flood(flooder, victim)  # type: ignore[operator]  # one of the two above
        await until(lambda: victim.connected_peers() == {peer_id(3)})
        event = await victim.events.receive()
        assert isinstance(event, PeerDisconnected)
        assert event.peer == peer_id(2)
        assert "a second, and went on; refused for 100 s" in event.cause
        assert victim.counters()["floods_refused"] >= 4
        assert await honest.request(victim.local_peer, "echo/1", b"hi") == b"hi"

        with suppress(TransportError):  # the refusal may come after the handshake
            await flooder.connect(victim.listen_addresses[0])
        assert peer_id(2) not in victim.connected_peers()
        with pytest.raises(TransportError, match="refused for a while"):
            await victim.connect(flooder.listen_addresses[0])

        real_time.jump(100.0)
        with trio.fail_after(PATIENCE_S):
            while peer_id(2) not in victim.connected_peers():
                with suppress(TransportError):
                    await flooder.connect(victim.listen_addresses[0])
                await trio.sleep(0.05)


async def test_a_connection_that_was_begun_before_a_ban_is_none_after_it() -> None:
    """Else a flooder would have one in store for each ban."""
    async with open_peer(1, **LIMITS) as victim, open_peer(2) as flooder, open_attacker(2) as double:
        victim.handle("echo/1", echo)
        await flooder.connect(victim.listen_addresses[0])
        swarm = double._host.swarm
        stream = await open_socket(parse_tcp_address(victim.listen_addresses[0]))
        secured = (await secure(swarm, stream, new_counters(), is_initiator=True)).secured
        with trio.fail_after(PATIENCE_S):
            await flood_requests(flooder, victim)
            await until(lambda: not victim.connected_peers())
            await swarm.upgrader.muxer_multistream.select_transport(secured)
            with suppress(ConnectionClosedError):
                while await secured.read_some(65536):
                    pass
        assert not victim.connected_peers()


async def test_a_stranger_that_floods_with_gossip_is_shown_the_door_as_well() -> None:
    """None of it is delivered, but all of it is read."""
    async with open_peer(1, **LIMITS) as victim, open_peer(2) as stranger:
        victim.admit(frozenset())
        await stranger.connect(victim.listen_addresses[0])
        with trio.fail_after(PATIENCE_S):
            await flood_gossip(stranger, victim)
        await until(lambda: not victim.connected_peers())


async def test_strangers_of_one_host_together_are_served_so_much_and_hung_up_on_above_it() -> None:
    """Each new identity would begin anew: a host without a key had thousands of cards checked a second."""
    async with (
        open_peer(1, request_rate=2.0) as victim,
        open_peer(2) as member,
        open_peer(3) as one,
        open_peer(4) as two,
        open_peer(5) as three,
    ):
        victim.handle("card/1", echo, strangers=True)
        victim.admit(frozenset({member.local_peer}))
        for peer in (member, one, two, three):
            await peer.connect(victim.listen_addresses[0])
        with trio.fail_after(PATIENCE_S):
            for peer in [one, two] * 4:
                assert await peer.request(victim.local_peer, "card/1", b"mine") == b"mine"
            while three.local_peer in victim.connected_peers():
                with suppress(TransportError):
                    await three.request(victim.local_peer, "card/1", b"mine")
        assert victim.counters()["flooders_banned"] == 0, "an honest one may live there, too"
        assert await member.request(victim.local_peer, "card/1", b"mine") == b"mine"


async def test_messages_above_the_rate_are_not_delivered() -> None:
    async with open_peer(1, gossip_rate=5.0) as victim, open_peer(2) as speaker:
        await speaker.connect(victim.listen_addresses[0])
        await until(lambda: victim.local_peer in speaker.connected_peers())
        start = trio.current_time()
        for _ in range(70):
            await speaker.publish(secrets.token_bytes(32))
        await until(lambda: victim.counters()["floods_refused"] > 0)
        heard = victim.gossip.statistics().current_buffer_used
        assert heard <= 10 + 5.0 * (trio.current_time() - start) + 1
        await assert_serves(victim)


async def test_a_host_that_connects_again_and_again_is_turned_away_and_others_are_served_later(
    real_time: trio.testing.MockClock,
) -> None:
    async with open_peer(1, connect_rate=1.0) as victim:
        place = parse_tcp_address(victim.listen_addresses[0])
        streams = [await open_socket(place) for _ in range(500)]
        await until(lambda: victim.counters()["floods_refused"] >= 100)
        for stream in streams:
            await trio.aclose_forcefully(stream)
        await until(lambda: victim.counters()["frames_refused"] == len(streams))
        real_time.jump(1.0)
        await assert_serves(victim)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8:0:7::{:x}"])
async def test_connections_of_one_host_are_limited_however_often_and_from_wherever_it_tries(
    host: str, autojump_clock: trio.testing.MockClock
) -> None:
    limits = PeerLimits(settings(connect_rate=20.0), new_counters(), close=lambda *_: None)
    start, admitted, tries = trio.current_time(), 0, 0
    while trio.current_time() - start < 10.0:
        for _ in range(100):
            tries += 1
            admitted += limits.admits_connection(host.format(tries))
        await trio.sleep(0.1)
    assert MAX_CONNECTS_AT_ONCE <= admitted <= MAX_CONNECTS_AT_ONCE + 20 * 10 + 1


Ask = Callable[[PeerLimits, PeerId], bool]
DOORS: dict[str, Ask] = {
    "streams": lambda limits, peer: limits.admits_stream(peer),
    "requests": lambda limits, peer: limits.admits_request(peer, 1),
    "messages": lambda limits, peer: limits.admits_message(peer, 1),
    "bytes of requests": lambda limits, peer: limits.admits_request(peer, 100),
    "bytes of messages": lambda limits, peer: limits.admits_message(peer, 100),
}
RATES = {"stream_rate": 50.0, "request_rate": 40.0, "gossip_rate": 30.0, "unasked_bytes_rate": 1000.0}
AT_ONCE = {"streams": 100, "requests": 80, "messages": 60, "bytes of requests": 20, "bytes of messages": 20}


@pytest.mark.parametrize("door", DOORS)
async def test_each_door_lets_two_seconds_worth_pass_at_once_and_then_its_rate(
    door: str, autojump_clock: trio.testing.MockClock
) -> None:
    counters, peer = new_counters(), peer_id(2)
    limits = PeerLimits(settings(**RATES), counters, close=lambda *_: None)
    assert [DOORS[door](limits, peer) for _ in range(AT_ONCE[door] + 1)] == [True] * AT_ONCE[door] + [False]
    assert counters["floods_refused"] == 1
    await trio.sleep(1.0)
    assert [DOORS[door](limits, peer) for _ in range(AT_ONCE[door] // 2 + 1)][-2:] == [True, False]


@pytest.mark.parametrize("door", DOORS)
async def test_at_each_door_strangers_of_one_host_are_judged_together_and_admitted_peers_are_not(
    door: str, autojump_clock: trio.testing.MockClock
) -> None:
    hosts = {peer_id(number): f"192.0.2.{number // 1000}" for number in range(1000, 3000, 100)}
    ended: list[PeerId] = []
    limits = PeerLimits(
        settings(**RATES), new_counters(), close=lambda peer, _: ended.append(peer), stranger_host=hosts.get
    )
    peers = [peer for peer, host in hosts.items() if host == "192.0.2.1"]
    for number in range(2 * AT_ONCE[door]):
        assert DOORS[door](limits, peers[number % len(peers)])
    assert not DOORS[door](limits, peers[0])
    assert ended == peers[:1]
    assert DOORS[door](limits, peer_id(2000)), "of another host"
    assert DOORS[door](limits, peer_id(2)), "admitted"
    assert DOORS[door](limits, peer_id(3))


@pytest.mark.parametrize("door", DOORS)
async def test_who_goes_on_at_any_door_is_shown_it_once_and_refused_at_all_for_as_long_as_a_ban_lasts(
    door: str, autojump_clock: trio.testing.MockClock
) -> None:
    counters, peer, closed = new_counters(), peer_id(2), []
    limits = PeerLimits(settings(ban_s=7.0, **RATES), counters, close=lambda *said: closed.append(said))
    for _ in range(1000):
        DOORS[door](limits, peer)
    ((who, why),) = closed
    assert who == peer
    assert why.endswith("a second, and went on; refused for 7 s")
    assert counters["flooders_banned"] == 1
    await trio.sleep(6.9)
    assert limits.banned(peer)
    assert not any(ask(limits, peer) for ask in DOORS.values())
    await trio.sleep(0.2)
    assert limits.banned(peer) is None
    assert all(ask(limits, peer) for ask in DOORS.values())


async def test_strangers_of_one_host_together_are_answered_so_many_bytes_and_admitted_peers_any(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A host of strangers had the longest allow-list sent three hundred times a second."""
    strangers, ended = {peer_id(2): "192.0.2.1", peer_id(3): "192.0.2.1", peer_id(4): "198.51.100.1"}, []
    limits = PeerLimits(
        settings(), new_counters(), close=lambda peer, _: ended.append(peer), stranger_host=strangers.get
    )
    at_once = int(STRANGERS_ANSWERS.burst / MAX_ALLOW_LIST_BYTES)
    assert at_once >= MAX_CONNECTS_AT_ONCE // 2, "as many as may start on one host in one moment"
    for number in range(at_once):
        assert limits.admits_answer(peer_id(2 + number % 2), MAX_ALLOW_LIST_BYTES)
    assert not limits.admits_answer(peer_id(2), MAX_ALLOW_LIST_BYTES)
    assert ended == [peer_id(2)]
    assert limits.admits_answer(peer_id(4), MAX_ALLOW_LIST_BYTES), "of another host"
    assert all(limits.admits_answer(peer_id(5), MAX_ALLOW_LIST_BYTES) for _ in range(1000)), "admitted"
    await trio.sleep(1.0)
    again = [limits.admits_answer(peer_id(3), MAX_ALLOW_LIST_BYTES) for _ in range(100)]
    assert sum(again) == pytest.approx(STRANGERS_ANSWERS.per_s / MAX_ALLOW_LIST_BYTES, abs=1.0)


async def test_a_stranger_that_asks_for_more_than_it_may_be_answered_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("peer.network.libp2p_limits.STRANGERS_ANSWERS", Rate(per_s=1.0, burst=250.0))

    async def list_of_100(peer: PeerId, data: bytes) -> bytes:
        return bytes(100)

    async with open_peer(1) as victim, open_peer(2) as member, open_peer(3) as stranger:
        victim.handle("list/1", list_of_100, strangers=True)
        victim.admit(frozenset({member.local_peer}))
        for peer in (member, stranger):
            await peer.connect(victim.listen_addresses[0])
        for _ in range(2):
            assert await stranger.request(victim.local_peer, "list/1", b"") == bytes(100)
        with pytest.raises(TransportError):
            await stranger.request(victim.local_peer, "list/1", b"")
        await until(lambda: victim.connected_peers() == {member.local_peer})
        for _ in range(5):
            assert await member.request(victim.local_peer, "list/1", b"") == bytes(100)
