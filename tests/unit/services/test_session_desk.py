"""Identities that run twice: who is told what, and that nobody can be made to leave by a lie."""

from functools import partial
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.services.sessions import SessionDesk, is_newer
from peer.services.welcome import Welcome
from peer.telemetry.peer_events import IdentityRunsTwice, OwnIdentityRunsTwice
from peer.telemetry.sink import RecordingSink
from peer.types import Session
from peer.wire.envelope import Signed, seal
from peer.wire.messages import PeerCard
from peer.wire.sessions import SESSION_PROTOCOL, SessionAnswer, SessionQuestion, decode, encode, make_claim
from tests.unit.services.scripted_transport import ScriptedTransport, is_broken

RUN = b"r" * 16
ME, TWIN, BEFORE = (Identity.for_tests(1, life=life) for life in (1, 2, 3))
ALICE, ALICES_COPY = (Identity.for_tests(2, life=life) for life in (1, 2))


def card(identity: Identity, boot: int) -> Signed[PeerCard]:
    told = PeerCard(boot=boot, name="me", addresses=("/ip4/192.0.2.7/tcp/1",), config=b"c" * 32, schema=b"s" * 32)
    return seal(told, identity, run=RUN)


class Desk:
    def __init__(self, boot: int = 5) -> None:
        self.transport = ScriptedTransport(ME.peer_id)
        self.sink = RecordingSink()
        self.newer_boots: list[int] = []
        self.desk = SessionDesk(
            self.transport,
            welcome=Welcome(run=RUN, card=card(ME, boot)),
            signer=ME,
            sink=self.sink,
            request_s=5.0,
            newer_boot=self.newer_boots.append,
        )
        self.desk.open()

    async def asked(self, question: SessionQuestion) -> SessionAnswer:
        return decode(await self.transport.handlers[SESSION_PROTOCOL](ALICE.peer_id, encode(question)), SessionAnswer)

    def told(self) -> list[tuple[bool, int | None]]:
        return [(e.leaves, e.other_boot) for e in self.sink.events if isinstance(e, OwnIdentityRunsTwice)]


def claim_of(identity: Identity, boot: int, *, against: Identity = ME) -> SessionQuestion:
    claim = make_claim(card(identity, boot).message, identity, against=against.session, run=RUN)
    return SessionQuestion(identity.session, claim)


def test_order_of_processes_is_by_boot_then_by_session() -> None:
    for lower, higher in pairwise(sorted((ME, TWIN, BEFORE), key=lambda identity: identity.session)):
        assert is_newer(card(higher, 1), card(lower, 1))
        assert not is_newer(card(lower, 1), card(higher, 1))
        assert is_newer(card(lower, 2), card(higher, 1))


async def test_a_newer_process_makes_this_one_leave_after_answering(autojump_clock: MockClock) -> None:
    here = Desk(boot=5)
    answer = await here.asked(claim_of(TWIN, 6))
    assert (answer.claim.session, answer.claim.against, answer.claim.boot) == (ME.session, TWIN.session, 5)
    assert here.told() == [(True, 6)]
    assert here.newer_boots == [6]
    with trio.fail_after(10.0):
        await here.desk.superseded()


async def test_an_older_process_is_named_and_nothing_else(autojump_clock: MockClock) -> None:
    here = Desk(boot=5)
    await here.asked(claim_of(TWIN, 4))
    assert here.told() == [(False, 4)]
    assert here.newer_boots == []
    with trio.move_on_after(60.0):
        await here.desk.superseded()
        pytest.fail("it left")


@pytest.mark.parametrize(
    "lie",
    [
        claim_of(TWIN, 9, against=BEFORE),  # played back: it was true of an earlier process
        claim_of(ME, 9),  # our own words
        claim_of(ALICE, 9),  # signed by the neighbour that brings it
        SessionQuestion(ME.session, None),
    ],
)
async def test_no_neighbour_can_make_this_process_leave_by_a_lie(lie: SessionQuestion) -> None:
    here = Desk(boot=5)
    with pytest.raises(ProtocolError):
        await here.asked(lie)
    assert here.told() == []
    assert here.desk.newer is None


async def test_two_processes_of_a_peer_are_told_of_each_other_and_the_older_is_parted_from(
    autojump_clock: MockClock,
) -> None:
    here, asked = Desk(), []
    older, newer = card(ALICE, 1), card(ALICES_COPY, 2)
    by_session = {ALICE.session: ALICE, ALICES_COPY.session: ALICES_COPY}
    here.transport.joins(ALICE.peer_id, session=ALICE.session)
    here.transport.sessions[ALICE.peer_id].append(ALICES_COPY.session)

    async def answer(_protocol: str, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        question = decode(data, SessionQuestion)
        to = next(each for session, each in by_session.items() if session != question.rival)
        asked.append((to, None if question.claim is None else question.claim.session))
        own = older if to is ALICE else newer
        return encode(SessionAnswer(make_claim(own.message, to, against=Session(question.rival), run=RUN)))

    here.transport.answers[ALICE.peer_id] = answer
    await here.desk.settle(ALICE.peer_id, newer=newer, older=older)
    assert asked == [(ALICES_COPY, None), (ALICE, ALICES_COPY.session), (ALICES_COPY, ALICE.session)]
    assert here.transport.sessions_of(ALICE.peer_id) == {ALICES_COPY.session}
    [seen] = [event for event in here.sink.events if isinstance(event, IdentityRunsTwice)]
    assert (seen.remote, seen.boot, seen.other_boot) == (ALICE.peer_id, 2, 1)
    assert here.desk.runs_twice(ALICE.peer_id)
    assert not here.desk.runs_twice(ME.peer_id)
    await trio.sleep(700.0)
    assert not here.desk.runs_twice(ALICE.peer_id)


async def test_the_older_process_is_parted_from_even_when_the_newer_does_not_answer(autojump_clock: MockClock) -> None:
    here = Desk()
    here.transport.joins(ALICE.peer_id, session=ALICE.session)
    here.transport.answers[ALICE.peer_id] = is_broken
    await here.desk.settle(ALICE.peer_id, newer=card(ALICES_COPY, 2), older=card(ALICE, 1))
    assert here.transport.sessions_of(ALICE.peer_id) == {ALICES_COPY.session}
    assert here.desk.runs_twice(ALICE.peer_id)


async def test_two_processes_are_told_of_each_other_once_at_a_time(autojump_clock: MockClock) -> None:
    here = Desk()
    here.transport.joins(ALICE.peer_id, session=ALICE.session)

    async def hangs(_protocol: str, _data: bytes) -> bytes:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    here.transport.answers[ALICE.peer_id] = hangs
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(
                partial(here.desk.settle, ALICE.peer_id, newer=card(ALICES_COPY, 2), older=card(ALICE, 1))
            )
    assert len([event for event in here.sink.events if isinstance(event, IdentityRunsTwice)]) == 1
    await here.desk.settle(ALICE.peer_id, newer=card(ALICES_COPY, 2), older=card(ALICE, 1))
    assert len([event for event in here.sink.events if isinstance(event, IdentityRunsTwice)]) == 2


def test_an_address_where_our_own_identity_answers_is_named() -> None:
    here = Desk()
    here.desk.answered_elsewhere("/ip4/192.0.2.9/tcp/4001")
    [event] = [event for event in here.sink.events if isinstance(event, OwnIdentityRunsTwice)]
    assert (event.addresses, event.other_boot, event.leaves) == (("/ip4/192.0.2.9/tcp/4001",), None, False)
