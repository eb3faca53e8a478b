"""Whom to dial now: few at a time, one way to a place, the likeliest first, and nobody who is connected."""

import random
from collections import Counter

from peer.addresses import with_peer
from peer.network.discovery.backoff import RedialPolicy, RedialSchedule
from peer.network.discovery.book import AddressBook, BookDiscovery
from peer.network.discovery.dial_plan import MAX_DIALS, DialPlan
from peer.network.transport import Origin
from peer.types import PeerId

ME, ALICE, BOB = PeerId("me"), PeerId("alice"), PeerId("bob")
A, B = "/memory/a", "/memory/b"
NOBODY: frozenset[PeerId] = frozenset()


def plan_of(*addresses: str, book: AddressBook | None = None) -> DialPlan:
    schedule = RedialSchedule(RedialPolicy(first_s=1.0, cap_s=8.0, jitter=0.0), random.Random(1))
    plan = DialPlan(ME, book or AddressBook(), schedule)
    plan.named("dns", addresses)
    return plan


def test_a_place_that_is_named_with_an_id_and_without_is_dialled_one_way_at_a_time() -> None:
    plan = plan_of(A, with_peer(A, ALICE))
    [(first, _)] = plan.begin(NOBODY, 0.0)
    assert plan.begin(NOBODY, 0.1) == []
    plan.failed(first, 0.2)
    plan.ended(first)
    [(second, _)] = plan.begin(NOBODY, 0.2)
    assert {first, second} == {A, with_peer(A, ALICE)}


def test_so_many_of_each_origin_are_under_way() -> None:
    book = AddressBook()
    for number in range(20):
        book.heard(PeerId(f"liar-{number}"), [f"/memory/hearsay-{number}"])
        book.answered(PeerId(f"met-{number}"), f"/memory/met-{number}", unix_s=1)
    plan = plan_of(*(f"/memory/{number}" for number in range(20)), book=book)
    plan.named(BookDiscovery.name, [with_peer(entry.address, PeerId(entry.peer)) for entry in book.entries()])
    origins = [origin for _, origin in plan.begin(NOBODY, 0.0)]
    assert Counter(origins) == dict.fromkeys((Origin.NAMED, Origin.MET, Origin.HEARSAY), MAX_DIALS)


def test_who_has_failed_least_comes_first() -> None:
    plan = plan_of(*(f"/memory/{number}" for number in range(MAX_DIALS)))
    for address, _ in plan.begin(NOBODY, 0.0):
        plan.failed(address, 0.0)
        plan.ended(address)
    plan.named("dns", [*(f"/memory/{number}" for number in range(MAX_DIALS)), A])
    assert plan.begin(NOBODY, 1.0)[0][0] == A


def test_neither_ourselves_nor_who_is_connected_is_dialled() -> None:
    plan = plan_of(A, with_peer(B, BOB), with_peer("/memory/c", ME))
    assert sorted(address for address, _ in plan.begin(NOBODY, 0.0)) == [A, with_peer(B, BOB)]
    plan.answered(A, ALICE, 0.0)
    plan.led_to_us(with_peer(B, BOB))
    for address in (A, with_peer(B, BOB)):
        plan.ended(address)
    assert plan.begin(frozenset({ALICE}), 100.0) == []
    assert plan.begin(NOBODY, 100.0) == [(A, Origin.NAMED)]


def test_who_hangs_up_at_once_is_waited_for_and_who_is_lost_later_is_not() -> None:
    plan = plan_of(A)
    plan.begin(NOBODY, 0.0)
    plan.answered(A, ALICE, 0.0)
    plan.ended(A)
    assert plan.begin(NOBODY, 0.9) == []
    plan.settled(A)
    assert plan.begin(NOBODY, 0.9) == [(A, Origin.NAMED)]
