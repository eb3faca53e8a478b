"""What a member does for others that ask: errands, once for all who want to know, and hearing statements; bounded."""

import math
import random
from itertools import count

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from peer.network.identity import Identity
from peer.services.membership import MAX_ERRANDS, REQUEST_S, STATEMENTS, Membership
from peer.telemetry.counters import Counters
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from peer.wire.limits import MAX_STATEMENTS
from peer.wire.membership import (
    PROBE_PROTOCOL,
    Probe,
    ProbeAnswer,
    StatementKind,
    decode_probe_answer,
    encode_probe,
    make_statement,
    raw_statements,
)
from tests.unit.services.scripted_transport import ScriptedTransport, is_silent

ME = Identity.for_tests(1)
ASKER, TARGET = (Identity.for_tests(number).peer_id for number in (2, 3))
OTHERS = tuple(Identity.for_tests(number).peer_id for number in range(10, 11 + MAX_ERRANDS))


class Heard(ScriptedTransport):
    """at: when something came of each; of others nothing ever did."""

    def __init__(self) -> None:
        super().__init__(ME.peer_id)
        self.at: dict[PeerId, float] = {}

    def heard_at(self, peer: PeerId) -> float:
        return self.at.get(peer, -math.inf)


async def is_there(_protocol: str, _data: bytes) -> bytes:
    await trio.lowlevel.checkpoint()
    return encode_probe(ProbeAnswer(True, ()))


async def never(_peer: PeerId, _cause: str) -> None:
    raise AssertionError("nobody is given up here")


class Helper:
    """A membership among `peers`. answers: whether each errand reached its target, in the order of their ends."""

    def __init__(self, nursery: trio.Nursery, peers: tuple[PeerId, ...]) -> None:
        self.transport = Heard()
        self.answers: list[bool] = []
        self.counters = Counters()
        self._nursery = nursery
        self._peers = peers

    async def start(self) -> None:
        self.membership = membership = Membership(
            self.transport,
            signer=ME,
            run=b"r" * 16,
            incarnation=1,
            give_up=never,
            sink=RecordingSink(),
            counters=self.counters,
            rng=random.Random(1),
        )
        for peer in (ASKER, *self._peers):
            self.transport.joins(peer)
            self.transport.answers[peer] = is_silent
        await self._nursery.start(membership.serve)
        membership.reachable(frozenset((ASKER, *self._peers)))

    async def send(self, *targets: PeerId) -> None:
        for target in targets:
            self._nursery.start_soon(self._run_errand, target)
        await wait_all_tasks_blocked()

    async def _run_errand(self, target: PeerId) -> None:
        answer = await self.transport.handlers[PROBE_PROTOCOL](ASKER, encode_probe(Probe(target, ())))
        self.answers.append(decode_probe_answer(answer).reached)

    def asked(self) -> list[PeerId]:
        return [peer for _, peer, _, _ in self.transport.requests]


async def started(nursery: trio.Nursery) -> Helper:
    helper = Helper(nursery, (TARGET, *OTHERS))
    await helper.start()
    return helper


async def test_a_member_is_asked_once_however_many_want_to_know(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Else whoever has others ask it would have them banned as flooders."""
    helper = await started(nursery)
    await helper.send(*[TARGET] * 200)
    assert helper.asked() == [TARGET]


async def test_all_who_want_to_know_get_the_answer(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    helper = await started(nursery)
    helper.transport.answers[TARGET] = is_there
    await helper.send(*[TARGET] * 3)
    assert helper.answers == [True] * 3


async def test_a_member_that_was_heard_just_now_is_not_asked(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    helper = await started(nursery)
    helper.transport.at[TARGET] = trio.current_time()
    await helper.send(TARGET)
    assert (helper.answers, helper.asked()) == ([True], [])


async def test_above_the_bound_a_helper_says_no_at_once_and_later_it_has_time_again(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    helper = await started(nursery)
    start = trio.current_time()
    await helper.send(*OTHERS)
    assert helper.answers == [False]
    assert len(helper.asked()) == MAX_ERRANDS
    assert trio.current_time() - start < 1.0
    await trio.sleep(REQUEST_S)
    helper.transport.answers[TARGET] = is_there
    await helper.send(TARGET)
    assert helper.answers[-1]


async def test_statements_of_one_member_are_looked_at_up_to_a_rate(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Each costs a signature to be checked, and a question that holds eight is as small as one that holds none."""
    helper, asker, made = await started(nursery), Identity.for_tests(2), count(1)

    async def tell() -> int:
        """Return how many lives the asker has led, as far as was heard, after one question with eight of them."""
        lives = (next(made) for _ in range(MAX_STATEMENTS))
        statements = [make_statement(StatementKind.ALIVE, ASKER, life, signer=asker, run=b"r" * 16) for life in lives]
        probe = encode_probe(Probe(None, raw_statements(statements)))
        assert decode_probe_answer(await helper.transport.handlers[PROBE_PROTOCOL](ASKER, probe)).reached
        return helper.membership.detector._members[ASKER].incarnation

    at_once = int(STATEMENTS.burst) // MAX_STATEMENTS
    heard = [await tell() for _ in range(at_once + 2)]
    assert heard == [MAX_STATEMENTS * min(number, at_once) for number in range(1, at_once + 3)]
    assert helper.counters["statements_unread"] == 2
    await trio.sleep(1.0)
    assert await tell() == MAX_STATEMENTS * (at_once + 3), "later ones are heard again"
