"""Hostile bytes on every protocol of a peer: it survives, counts, and goes on serving."""

import pytest
import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol

from peer.network.libp2p_guard import reset_stream
from tests.unit.network.loopback import RUN_ID, assert_serves, is_reset, open_attacker, open_peer, peer_id, until

SIX_BYTES = bytes.fromhex("05ffffffffff")  # a frame of 5 bytes that no protobuf parser takes
GOSSIP = f"/murmur/gossip/1/{RUN_ID}"
HOSTILE = {
    "the six bytes": SIX_BYTES,
    "endless varint": b"\xff" * 64,
    "announced 2 GB": b"\xff\xff\xff\xff\x07" + b"x" * 100,
    "empty frame": b"\x00",
    "noise": bytes(range(256)) * 16,
    "broken control": b"\x06\x1a\x04\x0a\x02\xff\xff",
}


async def test_bad_bytes_on_gossip_end_one_stream_and_not_the_process() -> None:
    async with open_peer(1) as victim, open_attacker(2) as attacker:
        await attacker.connect(victim.listen_addresses[0])
        stream = await attacker.open_stream(victim.local_peer, GOSSIP)
        await stream.write(SIX_BYTES)
        assert await is_reset(stream)
        assert victim.counters()["frames_refused"] == 1
        await assert_serves(victim)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("protocol", [GOSSIP, "/ipfs/ping/1.0.0", "/murmur/alive/1"])
async def test_hostile_bytes_on_any_protocol_leave_the_peer_serving(protocol: str, name: str) -> None:
    async with open_peer(1) as victim, open_attacker(2) as attacker:
        victim.handle("alive/1", _length)
        await attacker.connect(victim.listen_addresses[0])
        stream = await attacker.open_stream(victim.local_peer, protocol)
        try:
            await stream.write(HOSTILE[name])
            await stream.close()
        except Exception:  # the victim may have ended the stream by now
            await reset_stream(stream)
        await assert_serves(victim)


async def test_garbage_instead_of_a_protocol_name_leaves_the_peer_serving() -> None:
    async with open_peer(1) as victim, open_attacker(2) as attacker:
        await attacker.connect(victim.listen_addresses[0])
        for garbage in HOSTILE.values():
            stream = await attacker.open_bare_stream(victim.local_peer)
            try:
                await stream.write(garbage)
                await stream.close()
            except Exception:  # as above
                await reset_stream(stream)
        await assert_serves(victim)


async def test_flood_of_streams_from_one_peer_is_cut_off_and_others_are_served() -> None:
    async with open_peer(1, max_peer_streams=8) as victim, open_attacker(2) as attacker:
        await attacker.connect(victim.listen_addresses[0])
        streams = [await attacker.open_bare_stream(victim.local_peer) for _ in range(20)]
        for stream in streams:
            try:
                await stream.write(b"\x13/multistream/1.0.0\n")
            except Exception:  # already reset
                continue
        await until(lambda: victim.counters()["frames_refused"] >= 12)
        await assert_serves(victim)


async def test_third_party_handler_that_raises_ends_its_stream_only() -> None:
    async with open_peer(1) as victim, open_attacker(2) as attacker:

        async def burst(stream: INetStream) -> None:
            await stream.read(1)
            raise RuntimeError("a bug in somebody's handler")

        victim._requests._host.set_stream_handler(TProtocol("/buggy/1"), burst)
        await attacker.connect(victim.listen_addresses[0])
        for n in range(3):
            stream = await attacker.open_stream(victim.local_peer, "/buggy/1")
            await stream.write(b"!")
            assert await is_reset(stream)
            assert victim.counters()["protocol_errors"] == n + 1
        assert victim.connected_peers() == {peer_id(2)}


async def _length(peer: str, data: bytes) -> bytes:
    await trio.lowlevel.checkpoint()
    return b"%d" % len(data)
