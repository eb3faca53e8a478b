"""The loop around the round machine, where it has rules of its own. Machines and networks of many: tests/swarm."""

import random
from collections.abc import Callable
from typing import Any, cast

import trio
from trio.testing import MockClock

from peer.network.transport import Content, GossipMessage
from peer.rounds.effects import Effect, FetchPayload, SyncWith
from peer.rounds.machine import Mail, RoundMachine
from peer.services.conductor import QUESTIONS, Conductor
from peer.telemetry.counters import Counters
from peer.types import Digest, PeerId
from peer.wire.hashing import digest_of
from peer.wire.messages import announcement
from peer.wire.sync import SYNC_PROTOCOL, SyncRequest, Tip
from tests.unit.services.scripted_transport import ScriptedTransport, is_broken, is_silent

OTHER = PeerId("other")
REQUEST_S = 5.0
PAYLOAD = b"what was learned"


class EagerMachine:
    """A machine that wants to ask the other peer twice a second, as a real one at a fork does."""

    def __init__(self) -> None:
        self.wake_at = 0.0

    def start(self, now: float) -> list[Effect]:
        return []

    def reachable(self, peers: frozenset[PeerId], now: float) -> list[Effect]:
        return []

    def next_wake(self) -> float:
        return self.wake_at

    def tick(self, now: float) -> list[Effect]:
        self.wake_at = now + 0.5
        return [SyncWith(peer=OTHER)]

    def sync_request(self) -> SyncRequest:
        return SyncRequest(Tip(bytes(32), 0, 0), (), (), (), 0)


def conduct(machine: object, transport: ScriptedTransport) -> Conductor:
    return Conductor(
        cast(RoundMachine, machine),
        transport=cast(Any, transport),  # it implements the protocol
        open_round=lambda _: None,
        counters=Counters(),
        rng=random.Random(1),
        anti_entropy_s=1e9,
        request_s=REQUEST_S,
    )


def asked(transport: ScriptedTransport) -> list[float]:
    return [time for time, _, protocol, _ in transport.requests if protocol == SYNC_PROTOCOL]


async def test_question_waits_for_the_answer_to_the_one_before(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport()
    transport.answers[OTHER] = is_silent
    transport.joins(OTHER)
    conductor = conduct(EagerMachine(), transport)
    with trio.move_on_after(3.1 * REQUEST_S):
        await conductor.serve()
    assert len(asked(transport)) == 3, "after 5 s without an answer it is waited 10 s for the next"
    assert asked(transport)[1] >= asked(transport)[0] + REQUEST_S
    assert asked(transport)[2] >= asked(transport)[1] + 2 * REQUEST_S
    assert conductor.exchanges.record.failures == 2
    assert conductor.exchanges.record.cause == "no answer within 10 s"


async def test_questions_of_the_machine_are_bounded_whatever_their_number(autojump_clock: MockClock) -> None:
    """More of them would make every answer later where CPU time is short."""
    peers = [PeerId(f"peer-{n}") for n in range(100)]
    machine = EagerMachine()
    machine.tick = lambda now: _ask_all(machine, peers, now)  # type: ignore[method-assign]  # it asks nothing else
    transport = ScriptedTransport()
    for peer in peers:
        transport.answers[peer] = is_broken
        transport.joins(peer)
    conductor = conduct(machine, transport)
    with trio.move_on_after(20.0):
        await conductor.serve()
    assert QUESTIONS.burst < len(asked(transport)) <= QUESTIONS.burst + 20.0 * QUESTIONS.per_s


def _ask_all(machine: EagerMachine, peers: list[PeerId], now: float) -> list[Effect]:
    machine.wake_at = now + 0.5
    return [SyncWith(peer=peer) for peer in peers]


class FetchingMachine(EagerMachine):
    """Wants one payload, and notes what it is told of its hash."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[bytes, Digest | None]] = []

    def tick(self, now: float) -> list[Effect]:
        self.wake_at = now + 1e6
        return [FetchPayload(payload=digest_of(PAYLOAD), payload_bytes=len(PAYLOAD), holders=(OTHER,))]

    def receive_payload(
        self, _payload: Digest, data: bytes, _now: float, *, digest: Digest | None = None
    ) -> list[Effect]:
        self.told.append((data, digest))
        return []


async def test_machine_is_told_the_hash_that_a_pull_has_computed(autojump_clock: MockClock) -> None:
    async def serve(_data: bytes, take: Callable[[Content], object]) -> None:
        await trio.lowlevel.checkpoint()
        take(PAYLOAD)

    transport, machine = ScriptedTransport(), FetchingMachine()
    transport.joins(OTHER)
    transport.holders[OTHER] = serve
    transport.answers[OTHER] = is_silent
    machine.wake_at = 0.1
    conductor = conduct(machine, transport)
    async with trio.open_nursery() as nursery:
        await nursery.start(conductor.serve)
        conductor.reachable(frozenset({OTHER}))
        await trio.sleep(1.0)
        nursery.cancel_scope.cancel()
    assert machine.told == [(PAYLOAD, digest_of(PAYLOAD))]


class HearingMachine(EagerMachine):
    """Notes how its mail comes."""

    def __init__(self) -> None:
        super().__init__()
        self.mail: list[list[Mail]] = []

    def tick(self, now: float) -> list[Effect]:
        self.wake_at = now + 1e6
        return []

    def receive_all(self, mail: list[Mail], now: float) -> list[Effect]:
        self.mail.append(list(mail))
        return []


async def test_gossip_that_has_been_waiting_is_taken_in_at_once_and_bad_pieces_are_left_out(
    autojump_clock: MockClock,
) -> None:
    machine, transport = HearingMachine(), ScriptedTransport()
    for data in (announcement(b"one", None), b"garbage", announcement(b"two", b"payload")):
        transport.hears(GossipMessage(forwarder=OTHER, data=data))
    with trio.move_on_after(1.0):
        await conduct(machine, transport).serve()
    assert machine.mail == [[(b"one", None, OTHER), (b"two", b"payload", OTHER)]]
