"""Gossip against neighbours that do not keep the rules, and the limits that py-libp2p sets too low."""

import secrets
from contextlib import suppress

import pytest
import trio
from libp2p.network.stream.exceptions import StreamReset
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from peer.network.libp2p_transport import Libp2pTransport
from peer.network.transport import MAX_GOSSIP_BYTES, GossipMessage
from tests.unit.network.loopback import PATIENCE_S, assert_serves, open_peer, peer_id, until


async def publish_until_heard(speaker: Libp2pTransport, hearer: Libp2pTransport) -> None:
    """Return when gossip flows from one to the other."""
    mark = b"mark " + secrets.token_hex(8).encode()
    with trio.fail_after(PATIENCE_S):
        while True:
            await speaker.publish(mark + secrets.token_bytes(4))
            with trio.move_on_after(0.2):
                while not (await hearer.gossip.receive()).data.startswith(mark):
                    pass
                return


async def next_heard(hearer: Libp2pTransport) -> GossipMessage:
    """Return the next message that is not left over from `publish_until_heard`."""
    with trio.fail_after(PATIENCE_S):
        while True:
            message = await hearer.gossip.receive()
            if not message.data.startswith(b"mark "):
                return message


def rpc(message: rpc_pb2.Message) -> bytes:
    raw = rpc_pb2.RPC(publish=[message]).SerializeToString()
    size, prefix = len(raw), bytearray()
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(prefix) + bytes([size]) + raw


def signed_by(speaker: Libp2pTransport, data: bytes, changes: dict[str, object] | None = None) -> rpc_pb2.Message:
    """Return a message as `speaker` would publish it, but for the changes made after signing."""
    pubsub = speaker._pubsub
    message = rpc_pb2.Message(
        data=data, topicIDs=[pubsub.topic], from_id=pubsub.my_id.to_bytes(), seqno=secrets.token_bytes(8)
    )
    assert pubsub.sign_key is not None
    message.signature = pubsub.sign_key.sign(b"libp2p-pubsub:" + message.SerializeToString())
    message.key = pubsub.host.get_public_key().serialize()
    for name, value in (changes or {}).items():
        setattr(message, name, value)
    return message


async def send(speaker: Libp2pTransport, hearer: Libp2pTransport, message: rpc_pb2.Message) -> None:
    """Write a message on the wire, past all checks of the sender's own library."""
    target = ID.from_base58(hearer.local_peer)
    await until(lambda: target in speaker._pubsub.peers)
    stream = speaker._pubsub.peers[target]
    await stream.write(rpc(message))


async def test_well_formed_message_written_by_hand_arrives() -> None:
    """Shows that the refusals below are for the reason they name."""
    async with open_peer(1) as hearer, open_peer(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        await publish_until_heard(speaker, hearer)
        await send(speaker, hearer, signed_by(speaker, b"by hand"))
        assert await next_heard(hearer) == GossipMessage(forwarder=peer_id(2), data=b"by hand")


@pytest.mark.parametrize(
    "changes",
    [
        {"data": b"changed after signing"},
        {"signature": b""},
        {"signature": b"x" * 64},
        {"from_id": b""},
        {"from_id": b"\xff" * 300},
        {"from_id": b"\x00\x24" + b"\xff" * 36},
        {"from_id": b"\x12\x20" + b"\xff" * 32, "key": b"\xff" * 50},
        {"seqno": b""},
    ],
    ids=repr,
)
async def test_forged_message_is_dropped_and_the_peer_goes_on(changes: dict[str, object]) -> None:
    async with open_peer(1) as hearer, open_peer(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        await publish_until_heard(speaker, hearer)
        await send(speaker, hearer, signed_by(speaker, b"forged", changes))
        await send(speaker, hearer, signed_by(speaker, b"honest"))
        assert (await next_heard(hearer)).data == b"honest"
        await assert_serves(hearer)


async def test_oversize_message_is_refused_and_not_passed_on() -> None:
    async with open_peer(1) as hearer, open_peer(2) as speaker, open_peer(3) as third:
        await speaker.connect(hearer.listen_addresses[0])
        await hearer.connect(third.listen_addresses[0])
        await publish_until_heard(speaker, hearer)
        await publish_until_heard(speaker, third)
        await send(speaker, hearer, signed_by(speaker, bytes(MAX_GOSSIP_BYTES + 1)))
        await until(lambda: hearer.counters()["frames_refused"] == 1)
        await send(speaker, hearer, signed_by(speaker, b"small"))
        for peer in (hearer, third):
            assert (await next_heard(peer)).data == b"small"


async def test_frame_of_a_megabyte_is_reset_without_ending_the_connection() -> None:
    async with open_peer(1) as hearer, open_peer(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        await publish_until_heard(speaker, hearer)
        with suppress(StreamReset):  # the hearer need not read to the end
            await send(speaker, hearer, signed_by(speaker, bytes(1_000_000)))
        await publish_until_heard(speaker, hearer)  # the stream has been opened anew
        assert hearer.connected_peers() == {peer_id(2)}


async def test_peers_of_two_runs_do_not_hear_each_other() -> None:
    async with open_peer(1) as one, open_peer(2) as two, open_peer(3, run_id="another") as other:
        await two.connect(one.listen_addresses[0])
        await other.connect(one.listen_addresses[0])
        await publish_until_heard(two, one)
        await other.publish(b"from another run")
        await send(other, one, signed_by(other, b"by hand, from another run"))
        await publish_until_heard(two, one)
        await two.publish(b"from this run")
        assert (await next_heard(one)).data == b"from this run"


async def test_burst_above_the_librarys_limits_arrives_whole() -> None:
    """10 messages a second per neighbour and 32 queued ones are py-libp2p's defaults; a round has more."""
    async with open_peer(1) as hearer, open_peer(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        await publish_until_heard(speaker, hearer)
        burst = {b"%d" % n for n in range(200)}
        for data in sorted(burst):
            await speaker.publish(data)
        heard: set[bytes] = set()
        with trio.fail_after(PATIENCE_S):
            while heard != burst:
                heard.add((await next_heard(hearer)).data)


async def test_new_life_uses_other_sequence_numbers_than_the_old_one() -> None:
    """Counting from the clock's seconds, a fast publisher that restarts is mute until the clock has caught up."""
    starts = []
    for _ in range(3):
        async with open_peer(1) as one:
            starts.append(one._pubsub.counter)
    assert min(abs(a - b) for n, a in enumerate(starts) for b in starts[:n]) > 10**9


async def test_unread_gossip_does_not_stop_requests() -> None:
    async with open_peer(1, gossip_queue=1) as hearer, open_peer(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        await publish_until_heard(speaker, hearer)
        for n in range(50):
            await speaker.publish(b"%d" % n)
        await until(lambda: hearer.counters()["gossip_dropped"] >= 40)
        await assert_serves(hearer)
