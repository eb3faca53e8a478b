"""Allow-lists among peers: the newest that was signed holds, whoever brings it, and says who may come in."""

import random
from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from peer.admission.allow_list import AllowListFile, Authority, Listed, signed
from peer.admission.policy import AdmissionPolicy, FoundList
from peer.errors import ProtocolError, StorageError
from peer.network.identity import Identity
from peer.services.admission import AdmissionDesk
from peer.services.allow_lists import AllowListDesk
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.peer_events import AllowListAdopted, AllowListRefused, NotAllowed
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from peer.wire.admission import (
    ADMISSION_PROTOCOL,
    ALLOW_LIST_PROTOCOL,
    AllowListRequest,
    AllowListResponse,
    Challenge,
    ChallengeAnswer,
    decode,
    encode,
)
from tests.unit.services.scripted_transport import ScriptedTransport

RUN = b"r" * 16
ALICE, BOB, CAROL = (Identity.for_tests(number).peer_id for number in (1, 2, 3))
CHIEF, IMPOSTOR = Identity.for_tests(50), Identity.for_tests(51)
AUTHORITY = Authority(keys=(CHIEF.peer_id,))


def made_list(version: int, *peers: PeerId, signer: Identity = CHIEF) -> bytes:
    listed = tuple(Listed(peer) for peer in sorted(peers))
    return signed(AllowListFile(run="cartpole", version=version, peers=listed), signer).text()


class Desk:
    """Alice's desk, which begins with these lists; Bob answers as `bob_has` says."""

    def __init__(self, *known: bytes, denied: Mapping[PeerId, ProtocolError] | None = None) -> None:
        self.transport, self.sink = ScriptedTransport(ALICE), RecordingSink()
        policy = AdmissionPolicy(
            run="cartpole",
            authority=AUTHORITY,
            known=tuple(FoundList(f"{n}.json", data) for n, data in enumerate(known)),
        )
        self.lists = AllowListDesk(self.transport, policy=policy, sink=self.sink, rng=random.Random(1))
        self.desk = AdmissionDesk(self.transport, run=RUN, policy=policy, lists=self.lists, denied=(denied or {}).get)
        self.changes = 0
        self.lists.changed = self._note
        self.lists.open()
        self.desk.open()

    def _note(self) -> None:
        self.changes += 1

    @property
    def version(self) -> int:
        return self.lists.version

    def bob_has(self, version: int, data: bytes | None, *, authority: Authority = AUTHORITY, refused: str = "") -> None:
        """version: that Bob claims to have. data: that he hands over."""

        async def answer(protocol: str, _data: bytes) -> bytes:
            await trio.lowlevel.checkpoint()
            if protocol == ADMISSION_PROTOCOL:
                return encode(ChallengeAnswer(None, authority.policy(), version, refused))
            return encode(AllowListResponse(data))

        self.transport.joins(BOB)
        self.transport.answers[BOB] = answer

    async def asked_for_list(self, version: int, *, by: PeerId = BOB) -> bytes | None:
        answer = await self.transport.handlers[ALLOW_LIST_PROTOCOL](by, encode(AllowListRequest(version)))
        return decode(answer, AllowListResponse).data

    def told(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.sink.events)


async def test_a_newer_list_of_the_other_side_is_taken_before_it_is_judged() -> None:
    here = Desk(made_list(1, ALICE))
    here.bob_has(2, made_list(2, ALICE, BOB))
    await here.desk.examine(BOB)
    assert (here.version, here.changes, here.told(AllowListAdopted)) == (2, 1, 2)
    assert here.lists.allowed == frozenset({ALICE, BOB})


@pytest.mark.parametrize("lie", [1, 2])
async def test_an_older_list_that_is_played_back_lets_nobody_in(lie: int) -> None:
    """lie: the version that is handed over where a newer one was promised."""
    here = Desk(made_list(2, ALICE))
    here.bob_has(9, made_list(lie, ALICE, BOB) if lie == 1 else made_list(2, ALICE))
    with pytest.raises(ProtocolError, match="it is not on the allow-list, version 2"):
        await here.desk.examine(BOB)
    assert (here.version, here.changes) == (2, 0)


async def test_the_newest_of_the_lists_at_the_start_holds_in_whatever_order() -> None:
    older, newer = made_list(1, ALICE, BOB), made_list(2, ALICE)
    for known in ((older, newer), (newer, older)):
        assert Desk(*known).lists.allowed == frozenset({ALICE})


@pytest.mark.parametrize("data", [made_list(3, ALICE, BOB, signer=IMPOSTOR), b"{}", b""])
async def test_a_list_that_no_authority_signed_is_refused_and_told(data: bytes) -> None:
    here = Desk(made_list(2, ALICE))
    here.bob_has(3, data)
    with pytest.raises(ProtocolError, match="it is not on the allow-list, version 2"):
        await here.desk.examine(BOB)
    assert (here.version, here.told(AllowListRefused)) == (2, 1)


async def test_who_believes_other_authorities_is_refused_and_its_list_not_asked_for() -> None:
    here = Desk(made_list(2, ALICE, BOB))
    here.bob_has(9, made_list(9, BOB), authority=Authority(keys=(IMPOSTOR.peer_id,)))
    with pytest.raises(ProtocolError) as caught:
        await here.desk.examine(BOB)
    assert caught.value.reason == "authorities"
    assert [protocol for _, _, protocol, _ in here.transport.requests] == [ADMISSION_PROTOCOL]


async def test_without_a_list_nobody_comes_in_and_who_is_taken_off_knows_it_itself() -> None:
    here = Desk()
    here.bob_has(0, None)
    with pytest.raises(ProtocolError, match="there is no allow-list yet"):
        await here.desk.examine(BOB)
    here.bob_has(1, made_list(1, BOB))
    with pytest.raises(ProtocolError, match="this peer is not on its allow-list"):
        await here.desk.examine(BOB)
    assert here.told(NotAllowed) == 1


async def test_who_does_not_take_us_in_is_not_taken_in_either() -> None:
    here = Desk(made_list(1, ALICE, BOB))
    here.bob_has(1, None, refused="you are not on it")
    with pytest.raises(ProtocolError, match="it does not take this peer in: you are not on it"):
        await here.desk.examine(BOB)


async def test_the_list_is_handed_to_whoever_has_an_older_one_strangers_too() -> None:
    newest = made_list(2, ALICE, BOB)
    here = Desk(newest)
    assert ALLOW_LIST_PROTOCOL in here.transport.open_handlers
    assert [await here.asked_for_list(version, by=CAROL) for version in (0, 1, 2, 3)] == [newest, newest, None, None]
    assert await Desk().asked_for_list(0) is None


async def test_whoever_is_denied_is_told_so_in_bounded_words_and_is_not_taken_in_though_it_is_on_the_list() -> None:
    denied = ProtocolError("denied", "it voted twice " * 50)
    here = Desk(made_list(2, ALICE, BOB, CAROL), denied={CAROL: denied})
    for peer, refused in ((BOB, ""), (CAROL, denied.detail[:256])):
        data = await here.transport.handlers[ADMISSION_PROTOCOL](peer, encode(Challenge(bytes(32))))
        answer = decode(data, ChallengeAnswer)
        assert (answer.proof, answer.policy, answer.list_version, answer.refused) == (
            None, AUTHORITY.policy(), 2, refused,
        )  # fmt: skip
    assert here.desk.objection(BOB) is None
    assert here.desk.objection(CAROL) is denied


class FullDisk:
    """Takes no allow-list, and has none."""

    def changed(self) -> FoundList | None:
        return None

    def keep(self, newest: AllowListFile) -> None:
        raise StorageError("no space left on device")


def test_disk_that_takes_no_allow_list_costs_a_line_in_the_log() -> None:
    known = (FoundList("swarm.json", made_list(2)),)
    policy, sink = AdmissionPolicy(run="cartpole", authority=AUTHORITY, known=known), RecordingSink()
    lists = AllowListDesk(ScriptedTransport(ALICE), policy=policy, sink=sink, rng=random.Random(1), store=FullDisk())
    assert lists.version == 2, "it holds for as long as the process lives"
    assert [event.operation for event in sink.events if isinstance(event, StorageFailed)] == ["save the allow-list"]


async def test_a_list_that_a_full_disk_refused_is_kept_when_there_is_room(autojump_clock: MockClock) -> None:
    """Else a restart would let in again whom it has taken off, for as long as no other peer brings it."""
    kept: list[int] = []

    class Disk:
        is_full = True

        def changed(self) -> FoundList | None:
            return None

        def keep(self, newest: AllowListFile) -> None:
            if self.is_full:
                raise StorageError("no space left on device")
            kept.append(newest.version)

    disk, known = Disk(), (FoundList("list.json", made_list(2, ALICE)),)
    policy = AdmissionPolicy(run="cartpole", authority=AUTHORITY, known=known)
    lists = AllowListDesk(
        ScriptedTransport(ALICE), policy=policy, sink=RecordingSink(), rng=random.Random(1), store=disk
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(lists.serve)
        await trio.sleep(12)
        assert kept == []
        disk.is_full = False
        await trio.sleep(12)
        nursery.cancel_scope.cancel()
    assert kept == [2], "and once"


class File:
    """The user's file, and a disk that takes everything. put: what the user puts there next."""

    def __init__(self) -> None:
        self.put: bytes | None = None

    def changed(self) -> FoundList | None:
        data, self.put = self.put, None
        return None if data is None else FoundList("swarm.json", data)

    def keep(self, newest: AllowListFile) -> None:
        """It has room."""


async def test_a_list_from_a_file_or_from_another_peer_is_passed_on_to_all_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Each is asked with the version that holds here, and asks for it then."""
    transport, file, first = ScriptedTransport(ALICE), File(), (FoundList("a.json", made_list(1, ALICE, BOB, CAROL)),)
    newest: bytes | None = None

    async def answer(_protocol: str, _data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return encode(AllowListResponse(newest))

    for peer in (BOB, CAROL):
        transport.joins(peer)
        transport.answers[peer] = answer
    policy = AdmissionPolicy(run="cartpole", authority=AUTHORITY, known=first)
    lists = AllowListDesk(transport, policy=policy, sink=RecordingSink(), rng=random.Random(1), store=file)
    lists.reachable(frozenset((BOB, CAROL)))
    await nursery.start(lists.serve)

    def told(version: int) -> set[PeerId]:
        return {peer for _, peer, _, data in transport.requests if data == encode(AllowListRequest(version))}

    await trio.sleep(1.0)
    file.put = made_list(2, ALICE, BOB, CAROL)
    await trio.sleep(5.0)
    assert told(2) == {BOB, CAROL}
    newest = made_list(3, ALICE, BOB, CAROL)
    await trio.sleep(5.0)
    assert lists.version == 3
    assert told(3) == {BOB, CAROL}
