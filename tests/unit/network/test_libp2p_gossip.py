"""Gossip over real sockets, also from neighbours that do not keep the rules."""

from contextlib import suppress

import pytest
import trio

import peer.network.libp2p_gossip
from peer.network.discovery.backoff import RedialPolicy
from peer.network.gossip_frames import MAX_NAMES, Kind, MessageId, encode_message, encode_names, message_id
from peer.network.libp2p_gossip import MAX_STREAMS
from peer.network.libp2p_outbox import OUTBOUND_BYTES, Outbox
from peer.network.libp2p_transport import Libp2pTransport
from peer.network.transport import MAX_GOSSIP_BYTES, GossipFailing, GossipMessage, TransportEvent
from tests.unit.network.loopback import (
    PATIENCE_S,
    RUN_ID,
    assert_serves,
    open_attacker,
    open_cable,
    open_peer,
    peer_id,
    refuses_stream,
    until,
)

PROTOCOL = f"/murmur/gossip/1/{RUN_ID}"


async def next_heard(hearer: Libp2pTransport) -> GossipMessage:
    with trio.fail_after(PATIENCE_S):
        return await hearer.gossip.receive()


async def test_frame_written_by_hand_arrives() -> None:
    """Shows that the refusals below are for the reason they name."""
    async with open_peer(1) as hearer, open_attacker(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        stream = await speaker.open_stream(hearer.local_peer, PROTOCOL)
        await stream.write(encode_message(b"by hand"))
        assert await next_heard(hearer) == GossipMessage(forwarder=peer_id(2), data=b"by hand")


async def test_oversize_message_is_refused_with_its_stream_and_not_passed_on() -> None:
    async with open_peer(1) as hearer, open_attacker(2) as speaker, open_peer(3) as third:
        await speaker.connect(hearer.listen_addresses[0])
        await hearer.connect(third.listen_addresses[0])
        stream = await speaker.open_stream(hearer.local_peer, PROTOCOL)
        with suppress(Exception):  # the hearer need not read to the end
            await stream.write(encode_message(bytes(MAX_GOSSIP_BYTES + 1)))
        await until(lambda: hearer.counters()["frames_refused"] == 1)
        assert hearer.connected_peers() == {peer_id(2), peer_id(3)}
        stream = await speaker.open_stream(hearer.local_peer, PROTOCOL)
        await stream.write(encode_message(b"small"))
        for peer in (hearer, third):
            assert (await next_heard(peer)).data == b"small"


async def test_peers_of_two_runs_do_not_hear_each_other() -> None:
    async with open_peer(1) as one, open_peer(2) as two, open_peer(3, run_id="another") as other:
        await two.connect(one.listen_addresses[0])
        await other.connect(one.listen_addresses[0])
        await other.publish(b"from another run")
        await one.publish(b"from one")
        await two.publish(b"from two")
        assert (await next_heard(one)).data == b"from two"
        assert (await next_heard(two)).data == b"from one"
        await until(lambda: all(peer.counters()["gossip_interrupted"] for peer in (one, other)))
        assert one.gossip.statistics().current_buffer_used == 0
        assert other.gossip.statistics().current_buffer_used == 0


async def test_burst_arrives_whole() -> None:
    async with open_peer(1) as hearer, open_peer(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        await until(lambda: bool(hearer.connected_peers()))
        burst = {b"%d" % n for n in range(200)}
        for data in sorted(burst):
            await speaker.publish(data)
        heard: set[bytes] = set()
        with trio.fail_after(PATIENCE_S):
            while heard != burst:
                heard.add((await next_heard(hearer)).data)


async def test_message_reaches_a_peer_that_its_publisher_is_not_connected_to() -> None:
    async with open_peer(1) as one, open_peer(2) as middle, open_peer(3) as far:
        await one.connect(middle.listen_addresses[0])
        await far.connect(middle.listen_addresses[0])
        await one.publish(b"pass it on")
        assert await next_heard(far) == GossipMessage(forwarder=peer_id(2), data=b"pass it on")


async def test_wanted_message_is_handed_over_once() -> None:
    async with open_peer(1) as holder, open_attacker(2) as asker, open_peer(3) as speaker:
        heard: list[bytes] = []
        asker.serve(PROTOCOL, heard.append)
        await asker.connect(holder.listen_addresses[0])
        await speaker.connect(holder.listen_addresses[0])
        await until(lambda: len(holder.connected_peers()) == 2)
        await speaker.publish(b"message")
        assert (await next_heard(holder)).data == b"message"
        stream = await asker.open_stream(holder.local_peer, PROTOCOL)
        await stream.write(encode_names(Kind.WANT, [message_id(b"message")] * 60))
        await stream.write(encode_names(Kind.WANT, [message_id(b"message")] * 60))
        await stream.write(encode_message(b"asked"))
        assert (await next_heard(holder)).data == b"asked", "so what came before it has been answered"
        await holder.publish(b"last")
        await until(lambda: encode_message(b"last") in b"".join(heard))  # it goes out behind the answers
        assert b"".join(heard).count(encode_message(b"message")) == 1


async def test_streams_of_one_neighbour_are_bounded() -> None:
    async with open_peer(1) as hearer, open_attacker(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        for n in range(MAX_STREAMS):
            stream = await speaker.open_stream(hearer.local_peer, PROTOCOL)
            await stream.write(encode_message(b"%d" % n))
            await next_heard(hearer)
        assert await refuses_stream(speaker, hearer.local_peer, PROTOCOL)
        assert hearer.counters()["frames_refused"] == 1


async def test_speaker_opens_its_stream_anew_when_the_other_end_has_reset_it() -> None:
    async with open_peer(1) as speaker, open_attacker(2) as hearer:
        heard: list[bytes] = []
        hearer.serve(PROTOCOL, heard.append, only_once=True)
        await hearer.connect(speaker.listen_addresses[0])
        with trio.fail_after(PATIENCE_S):
            while len(heard) < 3:  # each stream is reset after its first bytes
                await speaker.publish(b"%d" % len(heard))
                await trio.sleep(0.05)


async def test_unread_gossip_does_not_stop_requests() -> None:
    async with open_peer(1, gossip_queue=1) as hearer, open_peer(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        await until(lambda: bool(hearer.connected_peers()))
        for n in range(50):
            await speaker.publish(b"%d" % n)
        await until(lambda: hearer.counters()["gossip_dropped"] >= 40)
        await assert_serves(hearer)


def told(transport: Libp2pTransport) -> list[TransportEvent]:
    """Return the events that have come since the last call."""
    found = []
    with suppress(trio.WouldBlock):
        while True:
            found.append(transport.events.receive_nowait())
    return found


@pytest.mark.parametrize("hears", ["its first bytes", "nothing"])
async def test_neighbour_that_takes_no_gossip_is_counted_and_told_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch, hears: str
) -> None:
    monkeypatch.setattr(peer.network.libp2p_gossip, "PAUSES", RedialPolicy(first_s=0.01, cap_s=0.01))
    async with open_peer(1) as speaker, open_attacker(2) as hearer:
        if hears == "its first bytes":
            hearer.serve(PROTOCOL, lambda _data: None, only_once=True)
        await hearer.connect(speaker.listen_addresses[0])
        with trio.fail_after(PATIENCE_S):
            while speaker.counters()["gossip_interrupted"] < 17:
                await speaker.publish(b"%d" % speaker.counters()["gossip_interrupted"])
                await trio.sleep(0.01)
        failing = [event for event in told(speaker) if isinstance(event, GossipFailing)]
        assert [(event.peer, event.failures) for event in failing] == [(peer_id(2), count) for count in (4, 8, 16)]
        assert all(event.cause for event in failing)


async def test_neighbour_that_leaves_is_not_told_as_one_that_takes_no_gossip() -> None:
    async with open_peer(1) as speaker:
        async with open_peer(2) as hearer:
            await hearer.connect(speaker.listen_addresses[0])
            await speaker.publish(b"1")
            await next_heard(hearer)
        await until(lambda: peer_id(2) not in speaker._speakers._outboxes)  # nobody speaks to it any more
        assert not [event for event in told(speaker) if isinstance(event, GossipFailing)]


async def test_what_waits_for_a_neighbour_that_reads_nothing_is_bounded_in_bytes() -> None:
    async with (
        open_peer(2) as hearer,
        open_cable(hearer.listen_addresses[0]) as cable,
        open_peer(1, ping_interval_s=1000.0) as speaker,
    ):
        await speaker.connect(cable.address)
        cable.cut()
        message = bytes(MAX_GOSSIP_BYTES - 1)
        for n in range(256):  # 16 MiB, and fewer than the frames that may wait
            await speaker.publish(message + bytes((n,)))
        assert speaker.counters()["gossip_dropped"] > 0
        assert speaker._speakers._outboxes[peer_id(2)]._bytes <= OUTBOUND_BYTES


async def test_a_message_takes_few_steps_at_both_ends_together() -> None:
    """One of its publisher, one that reads the connection, and the hearer's: each costs as much as sending 50 KB."""

    class Steps(trio.abc.Instrument):
        count = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:  # trio's signature
            self.count += 1

    async with open_peer(1, tell_s=1000.0) as hearer, open_peer(2, tell_s=1000.0) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        await speaker.publish(b"hello")  # may have to wait for the stream
        await next_heard(hearer)
        counts = []
        for n in range(20):
            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            await speaker.publish(b"%d" % n)
            await next_heard(hearer)
            trio.lowlevel.remove_instrument(steps)
            counts.append(steps.count)
        assert sorted(counts)[10] <= 5, counts


async def test_more_than_the_socket_takes_arrives_whole_and_in_order() -> None:
    """What is written at once and what had to wait go through the same stream."""
    async with open_peer(1) as hearer, open_peer(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        await until(lambda: bool(hearer.connected_peers()))
        burst = [b"%d" % n + bytes(60_000) for n in range(50)]
        for data in burst:
            await speaker.publish(data)
        assert [(await next_heard(hearer)).data for _ in burst] == burst


@pytest.mark.parametrize(("frame_bytes", "room_for"), [(1, 512), (64 * 1024, 64), (0, 512)])
def test_what_waits_for_one_neighbour_is_bounded_in_frames_and_in_bytes(frame_bytes: int, room_for: int) -> None:
    outbox = Outbox()
    assert [outbox.put(bytes(frame_bytes)) for _ in range(room_for + 1)] == [True] * room_for + [False]
    assert outbox.put(b"") is (room_for < 512)


async def test_names_are_counted_and_not_only_the_frames_that_hold_them() -> None:
    """A thousand in each, looked up one by one, five hundred times a second, took half a core."""
    async with open_peer(1, gossip_rate=2.0) as hearer, open_attacker(2) as speaker:
        await speaker.connect(hearer.listen_addresses[0])
        stream = await speaker.open_stream(hearer.local_peer, PROTOCOL)
        for start in range(0, 3 * MAX_NAMES, MAX_NAMES):
            names = [MessageId(number.to_bytes(16)) for number in range(start, start + MAX_NAMES)]
            await stream.write(encode_names(Kind.HAVE, names))
        await until(lambda: hearer.counters()["floods_refused"] > 0)
