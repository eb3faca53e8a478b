"""The loop around the round machine, where it has rules of its own. Machines and networks of many: tests/swarm."""

import random
from typing import Any, cast

import trio
from trio.testing import MockClock

from peer.rounds.effects import Effect, SyncWith
from peer.rounds.machine import RoundMachine
from peer.services.conductor import Conductor
from peer.telemetry.counters import Counters
from peer.types import PeerId
from peer.wire.sync import SYNC_PROTOCOL, SyncRequest, Tip
from tests.unit.services.scripted_transport import ScriptedTransport, is_silent

OTHER = PeerId("other")
REQUEST_S = 5.0


class EagerMachine:
    """A machine that wants to ask the other peer twice a second, as a real one at a fork does."""

    def __init__(self) -> None:
        self._wake = 0.0

    def start(self, now: float) -> list[Effect]:
        return []

    def reachable(self, peers: frozenset[PeerId], now: float) -> list[Effect]:
        return []

    def next_wake(self) -> float:
        return self._wake

    def tick(self, now: float) -> list[Effect]:
        self._wake = now + 0.5
        return [SyncWith(peer=OTHER)]

    def sync_request(self) -> SyncRequest:
        return SyncRequest(Tip(bytes(32), 0, 0), (), (), ())


async def test_question_waits_for_the_answer_to_the_one_before(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport()
    transport.answers[OTHER] = is_silent
    transport.joins(OTHER)
    conductor = Conductor(
        cast(RoundMachine, EagerMachine()),
        transport=cast(Any, transport),  # it implements the protocol
        observers=[],
        open_round=lambda _: None,
        counters=Counters(),
        rng=random.Random(1),
        anti_entropy_s=1e9,
        request_s=REQUEST_S,
    )
    with trio.move_on_after(4 * REQUEST_S - 0.1):
        await conductor.serve()
    asked = [time for time, peer, protocol, _ in transport.requests if (peer, protocol) == (OTHER, SYNC_PROTOCOL)]
    assert len(asked) == 4, f"a request that takes {REQUEST_S} s was made at {asked}"
