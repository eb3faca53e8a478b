"""The peer book: bounded whatever others say, and the same after a restart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.errors import ProtocolError
from peer.network.discovery.book import MAX_ADDRESSES, MAX_FAILURES, AddressBook, BookDiscovery, KnownAddress
from peer.types import PeerId

ALICE, BOB, CAROL = PeerId("alice"), PeerId("bob"), PeerId("carol")


def addresses(count: int, *, start: int = 0) -> list[str]:
    return [f"/ip4/192.0.2.{number}/tcp/4001" for number in range(start, start + count)]


def test_book_survives_a_restart() -> None:
    book = AddressBook()
    book.answered(ALICE, "/ip4/192.0.2.1/tcp/1", unix_s=1000)
    book.heard(BOB, ["/ip4/192.0.2.2/tcp/1"])
    again = AddressBook()
    again.load(book.encode())
    expected = [KnownAddress(ALICE, "/ip4/192.0.2.1/tcp/1", 1000), KnownAddress(BOB, "/ip4/192.0.2.2/tcp/1", 0)]
    assert again.entries() == expected


def test_addresses_that_cannot_be_dialled_are_dropped_with_the_restart() -> None:
    book = AddressBook()
    book.heard(ALICE, ["/dns4/a..b/tcp/1", "/ip4/192.0.2.1/tcp/1"])
    book.answered(BOB, "/dns4/" + "a" * 64 + "/tcp/1", unix_s=5)
    again = AddressBook()
    again.load(book.encode())
    assert again.entries() == [KnownAddress(ALICE, "/ip4/192.0.2.1/tcp/1", 0)]


async def test_source_names_each_with_the_id_that_must_answer_and_leaves_us_out() -> None:
    book = AddressBook()
    book.heard(ALICE, ["/ip4/192.0.2.1/tcp/1"])
    book.answered(BOB, "/ip4/192.0.2.2/tcp/1", unix_s=5)
    assert await BookDiscovery(book, me=ALICE).addresses() == ["/ip4/192.0.2.2/tcp/1/p2p/bob"]


def test_hearsay_does_not_push_out_what_has_answered() -> None:
    book = AddressBook()
    book.answered(ALICE, "/ip4/198.51.100.1/tcp/1", unix_s=1)
    for start in range(0, 200, 10):
        book.heard(ALICE, addresses(10, start=start))
    kept = [entry.address for entry in book.entries()]
    assert len(kept) == MAX_ADDRESSES
    assert kept[0] == "/ip4/198.51.100.1/tcp/1"


def test_a_new_address_takes_the_place_of_older_hearsay() -> None:
    book = AddressBook()
    book.heard(ALICE, addresses(MAX_ADDRESSES))
    book.heard(ALICE, ["/ip4/198.51.100.1/tcp/1"])
    assert "/ip4/198.51.100.1/tcp/1" in [entry.address for entry in book.entries()]


def test_full_book_forgets_who_has_not_answered_for_longest() -> None:
    book = AddressBook(max_peers=2)
    book.answered(ALICE, "/a", unix_s=20)
    book.answered(BOB, "/b", unix_s=10)
    book.heard(CAROL, ["/c"])
    assert {entry.peer for entry in book.entries()} == {ALICE, BOB}
    book.answered(CAROL, "/c", unix_s=30)
    assert {entry.peer for entry in book.entries()} == {ALICE, CAROL}


def test_hearsay_that_leads_nowhere_is_forgotten_and_experience_is_not() -> None:
    book = AddressBook()
    book.heard(ALICE, ["/a"])
    book.answered(BOB, "/b", unix_s=1)
    for _ in range(MAX_FAILURES):
        book.failed(ALICE, "/a")
        book.failed(BOB, "/b")
    assert [entry.address for entry in book.entries()] == ["/b"]


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x91\x93\xa1a\xa1b\xff", b"\x91\x91" * 5000, bytes(100)])
def test_bytes_that_are_no_book_are_refused(data: bytes) -> None:
    book = AddressBook()
    with pytest.raises(ProtocolError):
        book.load(data)
    assert book.entries() == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["heard", "answered", "failed"]), st.integers(0, 9), st.integers(0, 19), st.integers(0, 99)
        ),
        max_size=200,
    )
)
def test_book_is_bounded_whatever_comes(acts: list[tuple[str, int, int, int]]) -> None:
    book = AddressBook(max_peers=4)
    for act, number, place, now in acts:
        peer, address = PeerId(f"peer-{number}"), f"/ip4/192.0.2.{place}/tcp/1"
        if act == "heard":
            book.heard(peer, [address])
        elif act == "answered":
            book.answered(peer, address, unix_s=now)
        else:
            book.failed(peer, address)
        entries = book.entries()
        peers = {entry.peer for entry in entries}
        assert len(peers) <= 4
        assert all(sum(entry.peer == peer for entry in entries) <= MAX_ADDRESSES for peer in peers)
    again = AddressBook(max_peers=4)
    again.load(book.encode())
    assert again.entries() == book.entries()


def test_one_that_tells_of_many_displaces_what_itself_told_of() -> None:
    """Who was made up cannot be told from who was met elsewhere, and is dialled for hours before it is forgotten."""
    book = AddressBook(max_peers=10)
    book.heard(BOB, ["/b"], source=ALICE)
    for number in range(50):
        book.heard(PeerId(f"made-up-{number}"), [f"/made-up/{number}"], source=CAROL)
    book.heard(ALICE, ["/a"], source=ALICE)
    for number in range(50, 100):
        book.heard(PeerId(f"made-up-{number}"), [f"/made-up/{number}"], source=CAROL)
    found = {entry.peer for entry in book.entries()}
    assert {ALICE, BOB} <= found
    assert PeerId("made-up-99") in found, "the oldest of them goes"
    assert len(found) == 10


def test_hearsay_of_an_earlier_life_gives_way_to_what_is_told_now() -> None:
    before = AddressBook(max_peers=10)
    for number in range(10):
        before.heard(PeerId(f"made-up-{number}"), [f"/memory/{number}"], source=CAROL)
    book = AddressBook(max_peers=10)
    book.load(before.encode())
    book.heard(BOB, ["/b"], source=ALICE)
    assert BOB in {entry.peer for entry in book.entries()}


def test_who_is_told_of_by_others_too_stays() -> None:
    book = AddressBook(max_peers=10)
    book.heard(BOB, ["/b"], source=CAROL)
    book.heard(BOB, ["/b"], source=ALICE)
    for number in range(50):
        book.heard(PeerId(f"made-up-{number}"), [f"/made-up/{number}"], source=CAROL)
    assert BOB in {entry.peer for entry in book.entries()}


def test_failures_of_others_at_an_address_are_not_held_against_who_is_there() -> None:
    """Anybody can say that made-up peers are where another one is: dials of those fail, as somebody else answers."""
    book = AddressBook()
    book.heard(BOB, ["/b"])
    for number in range(MAX_FAILURES - 1):
        made_up = PeerId(f"made-up-{number}")
        book.heard(made_up, ["/b"])
        book.failed(made_up, "/b")
    book.failed(BOB, "/b")
    assert BOB in {entry.peer for entry in book.entries()}
