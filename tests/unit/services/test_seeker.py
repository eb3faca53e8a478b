"""The search for others: every address is tried for ever, never in a hot loop, and nothing is remembered for ever."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from peer.addresses import with_peer
from peer.errors import SelfDialError, TransportError
from peer.network.discovery.backoff import RedialPolicy
from peer.network.discovery.book import AddressBook, BookDiscovery
from peer.network.discovery.source import DiscoverySource
from peer.network.transport import Origin
from peer.services.discovery import Seeker
from peer.telemetry.peer_events import DialFailed, DialRetried, DiscoveryFailed
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from tests.unit.services.scripted_transport import ScriptedTransport

ALICE, BOB = PeerId("alice"), PeerId("bob")
A, B, MINE = "/memory/a", "/memory/b", "/memory/me"


def answers(peer: PeerId) -> Callable[[], Awaitable[PeerId]]:
    async def dial() -> PeerId:
        await trio.lowlevel.checkpoint()
        return peer

    return dial


async def is_ourselves() -> PeerId:
    await trio.lowlevel.checkpoint()
    raise SelfDialError("dialled ourselves")


class Source:
    """Names what it is told to, or fails when that is None."""

    name = "dns peer"

    def __init__(self, *addresses: str) -> None:
        self.now: Sequence[str] | None = addresses
        self.asked: list[float] = []

    async def addresses(self) -> list[str]:
        self.asked.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.now is None:
            raise TransportError("no such name")
        return list(self.now)


class Search:
    def __init__(self, *sources: DiscoverySource, book: AddressBook | None = None) -> None:
        self.transport = ScriptedTransport()
        self.sink = RecordingSink()
        self.seeker = Seeker(
            self.transport,
            sources,
            AddressBook() if book is None else book,
            sink=self.sink,
            redial=RedialPolicy(first_s=0.5, cap_s=30.0),
            rediscover_s=15.0,
            rng=random.Random(1),
            max_peers=256,
            on_own_identity=lambda _: None,
        )

    def dials(self, address: str, *, since: float = 0.0) -> list[float]:
        return [at for at, dialled in self.transport.dialled if dialled == address and at >= since]


@asynccontextmanager
async def searching(*sources: DiscoverySource, book: AddressBook | None = None) -> AsyncIterator[Search]:
    search = Search(*sources, book=book)
    async with trio.open_nursery() as nursery:
        await nursery.start(search.seeker.serve)
        yield search
        nursery.cancel_scope.cancel()


async def test_an_address_that_refuses_is_dialled_for_ever_with_growing_pauses(autojump_clock: MockClock) -> None:
    async with searching(Source(A)) as search:
        await trio.sleep(600.0)
        times = search.dials(A)
        pauses = [late - early for early, late in pairwise(times)]
        assert pauses[0] < 1.0
        assert all(20.0 < pause < 40.0 for pause in pauses[-5:])
        assert 600 / 40 <= len(times) <= 600 / 20
        told = [event for event in search.sink.events if isinstance(event, DialFailed | DialRetried)]
        assert len(told) == len(times)
        assert {event.cause for event in told} == {"refused"}
        assert [event.failures for event in told if isinstance(event, DialFailed)] == [4, 8, 16]


async def test_a_failed_dial_tells_who_was_expected_there(autojump_clock: MockClock) -> None:
    async with searching(Source(A, with_peer(B, BOB))) as search:
        await trio.sleep(60.0)
        told = [event for event in search.sink.events if isinstance(event, DialFailed | DialRetried)]
        assert {(event.address, event.remote) for event in told} == {(A, None), (with_peer(B, BOB), BOB)}


async def test_a_place_named_with_an_id_and_without_is_told_of_once(autojump_clock: MockClock) -> None:
    async with searching(Source(A, with_peer(A, ALICE))) as search:
        await trio.sleep(600.0)
        assert search.dials(A)
        assert search.dials(with_peer(A, ALICE))
        assert [event.failures for event in search.sink.events if isinstance(event, DialFailed)] == [4, 8, 16]


async def test_a_peer_that_answers_is_dialled_once(autojump_clock: MockClock) -> None:
    async with searching(Source(A)) as search:
        search.transport.dials[A] = answers(ALICE)
        await trio.sleep(300.0)
        assert len(search.dials(A)) == 1


async def test_a_lost_peer_is_dialled_again_at_once(autojump_clock: MockClock) -> None:
    async with searching(Source(A)) as search:
        search.transport.dials[A] = answers(ALICE)
        await trio.sleep(100.0)
        search.transport.leaves(ALICE)
        await trio.sleep(0.6)
        assert len(search.dials(A, since=100.0)) == 1


@pytest.mark.parametrize("after_s", [0.05, 0.6, 2.0])
async def test_a_peer_that_drops_us_after_every_handshake_is_not_dialled_in_a_loop(
    after_s: float, autojump_clock: MockClock
) -> None:
    """At once, or when it has said why."""
    async with searching(Source(A)) as search:

        async def answers_and_leaves() -> PeerId:
            await trio.lowlevel.checkpoint()
            trio.lowlevel.spawn_system_task(leave)
            return ALICE

        async def leave() -> None:
            await trio.sleep(after_s)
            search.transport.leaves(ALICE)

        search.transport.dials[A] = answers_and_leaves
        await trio.sleep(600.0)
        assert len(search.dials(A)) <= 600 / 20


async def test_our_own_address_is_dialled_once_and_not_reported(autojump_clock: MockClock) -> None:
    async with searching(Source(A, MINE)) as search:
        search.transport.dials[MINE] = is_ourselves
        search.transport.dials[A] = answers(ALICE)
        await trio.sleep(300.0)
        assert len(search.dials(MINE)) == 1
        assert not search.sink.events


async def test_an_address_that_was_ours_is_tried_again_once_it_had_vanished(autojump_clock: MockClock) -> None:
    source = Source(MINE)
    async with searching(source) as search:
        search.transport.dials[MINE] = is_ourselves
        await trio.sleep(60.0)
        source.now = ()
        await trio.sleep(60.0)
        source.now = (MINE,)
        search.transport.dials[MINE] = answers(ALICE)
        await trio.sleep(60.0)
        assert len(search.dials(MINE)) == 2


async def test_a_name_that_vanishes_is_told_and_its_last_addresses_are_kept(autojump_clock: MockClock) -> None:
    source = Source(A)
    async with searching(source) as search:
        search.transport.dials[A] = answers(ALICE)
        await trio.sleep(5.0)
        source.now = None
        await trio.sleep(60.0)
        assert any(isinstance(event, DiscoveryFailed) for event in search.sink.events)
        search.transport.leaves(ALICE)
        await trio.sleep(1.0)
        assert ALICE in search.transport.connected_peers()


async def test_a_name_that_never_resolves_is_asked_for_ever_but_not_in_a_loop(autojump_clock: MockClock) -> None:
    source = Source()
    source.now = None
    async with searching(source) as search:
        await trio.sleep(600.0)
        assert 600 / 20 <= len(source.asked) <= 60
        assert source.asked[1] - source.asked[0] < 1.0
        source.now = (A,)
        search.transport.dials[A] = answers(ALICE)
        await trio.sleep(20.0)  # rediscover_s, and no longer, however long it was in vain
        assert ALICE in search.transport.connected_peers()


async def test_a_peer_left_alone_looks_anew_as_quickly_as_at_the_start(autojump_clock: MockClock) -> None:
    source = Source(A)
    async with searching(source) as search:
        search.transport.dials[A] = answers(ALICE)
        await trio.sleep(1000.0)
        del search.transport.dials[A]
        search.transport.leaves(ALICE)
        await trio.sleep(20.0)
        alone = [at for at in source.asked if at > 1000.0]
        assert len(alone) >= 4  # at the latest 15 s later, then after 0.5, 1, 2 s


async def test_a_dial_that_hangs_holds_up_no_other(autojump_clock: MockClock) -> None:
    async def hangs() -> PeerId:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    async with searching(Source(A, B)) as search:
        search.transport.dials[A] = hangs
        search.transport.dials[B] = answers(BOB)
        await trio.sleep(60.0)
        assert BOB in search.transport.connected_peers()
        assert len(search.dials(A)) == 1


async def test_name_that_led_to_ourselves_is_tried_again(autojump_clock: MockClock) -> None:
    """It may stand for many peers, as a service's does, or for another machine later."""
    name = "/dns4/peer.example/tcp/4001"
    async with searching(Source(name)) as search:
        search.transport.dials[name] = is_ourselves
        await trio.sleep(10.0)
        assert 2 <= len(search.dials(name)) <= 10
        search.transport.dials[name] = answers(BOB)
        await trio.sleep(40.0)
        assert BOB in search.transport.connected_peers()
        assert not search.sink.events


async def test_a_thousand_dead_addresses_are_all_tried_few_at_a_time(autojump_clock: MockClock) -> None:
    dialling = most = 0

    async def times_out() -> PeerId:
        nonlocal dialling, most
        dialling += 1
        most = max(most, dialling)
        await trio.sleep(0.5)
        dialling -= 1
        raise TransportError("timed out")

    addresses = [f"/memory/{number}" for number in range(1000)]
    async with searching(Source(*addresses)) as search:
        search.transport.dials = dict.fromkeys(addresses, times_out)
        await trio.sleep(120.0)
        assert most <= 8
        assert {address for _, address in search.transport.dialled} == set(addresses)


async def test_nothing_is_kept_of_addresses_that_vanished(autojump_clock: MockClock) -> None:
    source = Source()
    async with searching(source) as search:
        for number in range(100):
            dead, live = f"/memory/dead-{number}", f"/memory/live-{number}"
            source.now = (dead, live)
            search.transport.dials = {live: answers(ALICE)}
            await trio.sleep(40.0)
            search.transport.leaves(ALICE)
        seeker, plan = search.seeker, search.seeker._plan
        kept = [
            plan._answered,
            plan._own,
            plan._dialling,
            plan._schedule._due_at,
            *plan._named_by.values(),
            seeker._unsettled,
            seeker._failures._told,
        ]
        assert sum(len(table) for table in kept) < 10


async def test_only_a_peer_that_stays_enters_the_book(autojump_clock: MockClock) -> None:
    async with searching(Source(A, B)) as search:
        search.transport.dials[A] = answers(ALICE)
        search.transport.dials[B] = answers(BOB)
        await trio.sleep(0.3)
        search.transport.leaves(BOB)  # refused after the handshake
        del search.transport.dials[B]
        await trio.sleep(4.0)
        assert [entry.address for entry in search.seeker._book.entries()] == [A]


async def test_who_is_heard_of_is_dialled_at_once_though_others_are_connected(autojump_clock: MockClock) -> None:
    book, source = AddressBook(), Source(A)
    async with searching(BookDiscovery(book, me=PeerId("me")), source, book=book) as search:
        search.transport.dials = {A: answers(ALICE), with_peer(B, BOB): answers(BOB)}
        await trio.sleep(5.0)
        assert search.transport.connected_peers() == {ALICE}
        asked = len(source.asked)
        book.heard(BOB, [B])
        await trio.sleep(1.0)
        assert search.transport.connected_peers() == {ALICE, BOB}
        assert len(source.asked) == asked  # nothing new is to be had there


async def test_addresses_of_hearsay_at_which_nobody_speaks_hold_up_no_other(autojump_clock: MockClock) -> None:
    """Anybody can name as many as a book holds."""

    async def says_nothing() -> PeerId:
        await trio.sleep(10.0)
        raise TransportError("no handshake within 10 s")

    book = AddressBook()
    tarpits = {PeerId(f"liar-{n}"): f"/memory/tarpit-{n}" for n in range(40)}
    for liar, address in tarpits.items():
        book.heard(liar, [address])
    book.answered(BOB, B, unix_s=1)
    async with searching(BookDiscovery(book, me=PeerId("me")), Source(A), book=book) as search:
        search.transport.dials = {with_peer(address, liar): says_nothing for liar, address in tarpits.items()}
        search.transport.dials |= {A: answers(ALICE), with_peer(B, BOB): answers(BOB)}
        await trio.sleep(5.0)
        assert search.transport.connected_peers() == {ALICE, BOB}
        for peer in (ALICE, BOB):
            search.transport.leaves(peer)
        await trio.sleep(1.0)
        assert search.transport.connected_peers() == {ALICE, BOB}
        assert {search.transport.origins.pop(each) for each in (A, with_peer(A, ALICE))} == {Origin.NAMED}
        assert search.transport.origins.pop(with_peer(B, BOB)) is Origin.MET
        assert set(search.transport.origins.values()) == {Origin.HEARSAY}


async def test_hearsay_that_leads_nowhere_is_dialled_eight_times_and_experience_for_ever(
    autojump_clock: MockClock,
) -> None:
    book = AddressBook()
    book.heard(ALICE, [A])
    book.answered(BOB, B, unix_s=1)
    async with searching(BookDiscovery(book, me=PeerId("me")), book=book) as search:
        await trio.sleep(1000.0)
        assert len(search.dials(with_peer(A, ALICE))) == 8
        assert len(search.dials(with_peer(B, BOB))) > 20
        assert [entry.peer for entry in book.entries()] == [BOB]
