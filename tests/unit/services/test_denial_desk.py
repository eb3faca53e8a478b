"""The deny-list: what is taken, passed on, kept, and how much of it."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.rounds.effects import Applied, Equivocated
from peer.rounds.equivocation import check_proof
from peer.services.denial import DenialDesk
from peer.telemetry.counters import Counters
from peer.telemetry.disk_events import StateDamaged
from peer.telemetry.peer_events import MessageRefused, PeerDenied
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from peer.wire.envelope import seal
from peer.wire.limits import MAX_DENIED, MAX_PASSED_PROOFS
from peer.wire.messages import Ack, RosterEntry
from peer.wire.proofs import PROOFS_PROTOCOL, ProofPair, ProofsRequest, ProofsResponse, decode, encode
from tests.in_place import in_place
from tests.unit.services.chains import first_entry
from tests.unit.services.scripted_transport import ScriptedTransport, is_silent

RUN = b"r" * 16
ALICE, BOB = PeerId("alice"), PeerId("bob")
EVIL = Identity.for_tests(7)


def pair(evil: Identity = EVIL) -> ProofPair:
    votes = (seal(Ack(3, b"p" * 32, manifest, b"x" * 32, 0), evil, run=RUN).data for manifest in (b"m" * 32, b"n" * 32))
    return ProofPair(*votes)


def equivocated(evil: Identity = EVIL) -> Equivocated:
    found = pair(evil)
    return Equivocated(proof=check_proof(found.first, found.second, run=RUN))


class Desk:
    def __init__(
        self,
        file: Path | None = None,
        *,
        admitted: tuple[PeerId, ...] = (),
        concerns: Callable[[PeerId], bool] | None = None,
    ) -> None:
        self.transport = ScriptedTransport("me")
        self.sink = RecordingSink()
        self.counters = Counters()
        self.changes: list[frozenset[PeerId]] = []
        for peer in admitted:
            self.transport.joins(peer)
        self.desk = DenialDesk(
            self.transport,
            run=RUN,
            file=file,
            sink=self.sink,
            counters=self.counters,
            rng=random.Random(1),
            blocking=in_place,
            admitted=lambda: admitted,
            concerns=concerns or (lambda _: True),
        )
        self.desk.changed = self.changes.append

    async def asked(self, *denied: PeerId) -> ProofsResponse:
        data = await self.transport.handlers[PROOFS_PROTOCOL](ALICE, encode(ProofsRequest(denied)))
        return decode(data, ProofsResponse)

    def answers(self, peer: PeerId, *pairs: ProofPair) -> None:
        async def answer(protocol: str, _data: bytes) -> bytes:
            await trio.lowlevel.checkpoint()
            assert protocol == PROOFS_PROTOCOL
            return encode(ProofsResponse(pairs))

        self.transport.answers[peer] = answer


async def test_a_proof_that_was_seen_is_held_told_and_acted_on_once() -> None:
    here = Desk()
    here.desk.observe(equivocated())
    here.desk.observe(equivocated())
    assert here.changes == [frozenset({EVIL.peer_id})]
    assert [(e.remote, e.source) for e in here.sink.events if isinstance(e, PeerDenied)] == [(EVIL.peer_id, None)]
    objection = here.desk.objection(EVIL.peer_id)
    assert objection is not None
    assert (objection.reason, "voted twice in round 3" in objection.detail) == ("denied", True)
    assert here.desk.objection(ALICE) is None


async def test_a_new_proof_reaches_all_admitted_peers_at_once(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    here = Desk(admitted=(ALICE, BOB))
    here.answers(ALICE)
    here.answers(BOB)
    await nursery.start(here.desk.serve)
    here.desk.observe(equivocated())
    await trio.sleep(0.1)
    shown = {peer: data for _, peer, _, data in here.transport.requests}
    assert shown.keys() == {ALICE, BOB}
    assert set(shown.values()) == {encode(ProofsRequest((EVIL.peer_id,)))}


async def test_a_proof_that_comes_while_others_are_asked_reaches_all_admitted_peers_too(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    here = Desk(admitted=(ALICE, BOB))
    here.answers(ALICE)
    here.transport.answers[BOB] = is_silent
    await nursery.start(here.desk.serve)
    here.desk.observe(equivocated())
    await trio.sleep(0.1)
    another = Identity.for_tests(8)
    here.desk.observe(equivocated(another))
    await trio.sleep(5.0)
    both = encode(ProofsRequest(tuple(sorted((EVIL.peer_id, another.peer_id)))))
    assert {peer for _, peer, _, data in here.transport.requests if data == both} == {ALICE, BOB}


async def test_whoever_shows_a_proof_that_is_lacking_here_is_asked_for_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    here = Desk(admitted=(ALICE, BOB))
    here.answers(ALICE, pair())
    here.answers(BOB)
    await nursery.start(here.desk.serve)
    assert (await here.asked(EVIL.peer_id)).proofs == ()
    await trio.sleep(0.1)
    assert here.desk.denied == {EVIL.peer_id}
    assert [e.source for e in here.sink.events if isinstance(e, PeerDenied)] == [ALICE]
    assert (await here.asked()).proofs == (pair(),)
    assert (await here.asked(EVIL.peer_id)).proofs == ()


async def test_a_false_proof_denies_nobody_and_is_named(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    first = pair().first
    reborn = seal(Ack(3, b"p" * 32, b"n" * 32, b"x" * 32, 0), Identity.for_tests(7, life=1), run=RUN).data
    here = Desk(admitted=(ALICE,))
    here.answers(ALICE, ProofPair(first, reborn))
    await nursery.start(here.desk.serve)
    await trio.sleep(6.0)
    assert here.desk.denied == frozenset()
    assert {(e.remote, e.reason) for e in here.sink.events if isinstance(e, MessageRefused)} == {(ALICE, "bad_proof")}
    assert here.counters.refusals().keys() == {"bad_proof"}


async def test_proofs_outlive_the_process_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "denied.proofs"
    first = Desk(file)
    first.desk.observe(equivocated())
    await first.desk.save()
    assert Desk(file).desk.denied == {EVIL.peer_id}
    file.write_bytes(file.read_bytes()[:-1])
    damaged = Desk(file)
    assert damaged.desk.denied == frozenset()
    assert [type(event) for event in damaged.sink.events] == [StateDamaged]


async def test_proofs_against_peers_that_could_not_take_part_anyway_are_not_kept() -> None:
    here = Desk(concerns=lambda peer: peer != EVIL.peer_id)
    here.desk.observe(equivocated())
    assert here.desk.denied == frozenset()


async def test_proofs_are_bounded_in_number_and_in_one_answer(nursery: trio.Nursery) -> None:
    here = Desk()
    await nursery.start(here.desk.serve)
    for number in range(MAX_DENIED + 5):
        here.desk.observe(equivocated(Identity.for_tests(1000 + number)))
    assert len(here.desk.denied) == MAX_DENIED
    assert Identity.for_tests(1000).peer_id in here.desk.denied
    assert Identity.for_tests(1000 + MAX_DENIED).peer_id not in here.desk.denied
    assert len((await here.asked()).proofs) == MAX_PASSED_PROOFS


def with_liar_on_the_roster(desk: Desk) -> None:
    before = first_entry()
    entry = replace(before, round=1, roster=(RosterEntry(EVIL.peer_id, 0, 1, 1),), standing=None)
    desk.desk.observe(Applied(entry=entry, parent=before, sealing_s=0.0))


def flood(desk: Desk, *, first: int = 1000) -> None:
    for number in range(first, first + MAX_DENIED):
        desk.desk.observe(equivocated(Identity.for_tests(number)))


async def test_proofs_against_made_up_keys_wash_no_member_clean(tmp_path: Path) -> None:
    here = Desk(tmp_path / "denied.proofs")
    flood(here)
    with_liar_on_the_roster(here)
    here.desk.observe(equivocated())
    flood(here, first=2000)
    assert EVIL.peer_id in here.desk.denied
    await here.desk.save()
    again = Desk(tmp_path / "denied.proofs")
    flood(again, first=3000)
    assert EVIL.peer_id in again.desk.denied
    assert len(again.desk.denied) == MAX_DENIED


async def test_proofs_against_members_are_passed_on_first_and_found_room_for(nursery: trio.Nursery) -> None:
    here = Desk()
    await nursery.start(here.desk.serve)
    here.desk.observe(equivocated())
    with_liar_on_the_roster(here)
    flood(here)
    assert pair() in (await here.asked()).proofs


async def test_a_full_desk_asks_for_proofs_against_members_alone(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    here = Desk(admitted=(ALICE,))
    here.answers(ALICE, pair())
    flood(here)
    with_liar_on_the_roster(here)
    await nursery.start(here.desk.serve)
    await trio.sleep(0.1)
    before = len(here.transport.requests)
    await here.asked(Identity.for_tests(9).peer_id)
    await trio.sleep(0.1)
    assert len(here.transport.requests) == before
    await here.asked(EVIL.peer_id)
    await trio.sleep(0.1)
    assert EVIL.peer_id in here.desk.denied


@pytest.mark.parametrize("data", [b"", b"\xc1", encode(ProofsResponse(()))[:0] + b"\x91\x91\x01", bytes(30_000)])
async def test_bytes_that_are_no_request_are_refused(data: bytes, nursery: trio.Nursery) -> None:
    here = Desk()
    await nursery.start(here.desk.serve)
    with pytest.raises(ProtocolError, match=r"malformed|oversize"):
        await here.transport.handlers[PROOFS_PROTOCOL](ALICE, data)
