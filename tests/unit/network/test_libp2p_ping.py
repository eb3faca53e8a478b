"""Pings there and back, and those who ping or answer more than that takes."""

import pytest
import trio
from trio.testing import MockClock

from peer.errors import ProtocolError
from peer.network.libp2p_ping import PING, PING_BYTES, ping
from peer.network.libp2p_yamux import muxer_of
from peer.network.libp2p_yamux_frames import DATA, HEADER, WINDOW_UPDATE
from peer.network.libp2p_yamux_stream import RST
from tests.unit.network.loopback import (
    PATIENCE_S,
    assert_serves,
    is_reset,
    open_attacker,
    open_peer,
    peer_id,
    settings,
    until,
)
from tests.unit.network.yamux_frames import open_frames, read_exactly


async def test_a_ping_comes_back_and_leaves_no_stream() -> None:
    async with open_peer(1) as one, open_peer(2) as other:
        await one.connect(other.listen_addresses[0])
        muxed = muxer_of(one._connections.newest_to(peer_id(2)))
        with trio.fail_after(PATIENCE_S):
            for _ in range(5):
                assert await ping(muxed)
            await until(lambda: len(muxed._streams) <= 2)  # those of gossip, there and back
        assert one.counters()["floods_refused"] == other.counters()["protocol_errors"] == 0


async def test_each_ping_of_a_stream_comes_back() -> None:
    async with open_peer(1) as victim, open_attacker(2) as other:
        await other.connect(victim.listen_addresses[0])
        stream = await other.open_stream(victim.local_peer, PING)
        for number in range(3):
            sent = bytes((number,)) * PING_BYTES
            await stream.write(sent)
            assert await stream.read(PING_BYTES) == sent
        await stream.close()
        with trio.fail_after(PATIENCE_S):
            assert await is_reset(stream)


async def test_who_pings_without_end_is_shown_the_door() -> None:
    """A megabyte a second took all of a processor."""
    async with open_peer(1, gossip_rate=10.0) as victim, open_attacker(2) as attacker:
        await attacker.connect(victim.listen_addresses[0])
        stream = await attacker.open_stream(victim.local_peer, PING)
        await stream.write(bytes(1000 * PING_BYTES))
        await until(lambda: victim.counters()["flooders_banned"] == 1)
        await until(lambda: not victim.connected_peers())
        await assert_serves(victim)


async def test_who_sends_no_ping_is_left_after_a_while(real_time: MockClock) -> None:
    async with open_peer(1) as victim, open_attacker(2) as attacker:
        await attacker.connect(victim.listen_addresses[0])
        stream = await attacker.open_stream(victim.local_peer, PING)
        await stream.write(bytes(PING_BYTES - 1))
        real_time.jump(settings().stream_idle_s)
        assert await is_reset(stream)
        assert victim.counters()["protocol_errors"] == 0


async def test_an_answer_without_end_is_not_read() -> None:
    """It was taken in for as long as a ping may take, in place of a line that agrees to the protocol."""
    async with open_frames() as (victim, frames), trio.open_nursery() as nursery:
        refused = trio.Event()

        async def ask() -> None:
            with pytest.raises(ProtocolError):
                await ping(muxer_of(victim._connections.newest_to(peer_id(2))))
            refused.set()

        nursery.start_soon(ask)
        number = 0
        with trio.fail_after(PATIENCE_S):
            while not number:
                _, kind, _, stream, length = HEADER.unpack(await read_exactly(frames.secured, HEADER.size))
                body = await read_exactly(frames.secured, length) if kind == DATA and length else b""
                number = stream if PING.encode() in body else 0
            await frames.send(DATA, data=b"\xff\xff\xff\xff\x07" + bytes(200_000), stream=number)
            await refused.wait()
            assert (await frames.next(WINDOW_UPDATE, stream=number))[0] & RST
