"""Peer exchange, dial-back and the book's file: who is told what, who is believed, and what is bounded."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest
import trio
from trio.testing import MockClock

from peer.errors import ProtocolError, TransportError
from peer.network.discovery.book import MAX_FAILURES, MAX_PEERS, AddressBook
from peer.network.identity import Identity
from peer.network.transport import Origin
from peer.services.book_keeping import BookKeeper
from peer.services.dial_back import DIAL_S, DialBackDesk
from peer.services.meeting import Meeting
from peer.services.peer_exchange import PeerExchange
from peer.services.reachability import Reachability
from peer.services.welcome import Welcome
from peer.telemetry.counters import Counters
from peer.telemetry.disk_events import StateDamaged, StorageFailed
from peer.telemetry.peer_events import AddressesUnreached, AddressReached, MessageRefused
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from peer.wire.envelope import Signed, seal
from peer.wire.messages import PeerCard
from peer.wire.sync import (
    DIAL_BACK_PROTOCOL,
    PEERS_PROTOCOL,
    DialBackRequest,
    DialBackResponse,
    PeersResponse,
    decode,
    encode,
)
from tests.in_place import in_place
from tests.unit.services.scripted_transport import Answer, ScriptedTransport

RUN = b"r" * 16
ME, ALICE, BOB = (Identity.for_tests(number) for number in (1, 2, 3))
MINE, MY_LOOPBACK = "/ip4/203.0.113.1/tcp/4001", "/ip4/127.0.0.1/tcp/4001"
ALICES, BOBS = "/ip4/203.0.113.2/tcp/4001", "/ip4/203.0.113.3/tcp/4001"


def card(
    identity: Identity, *addresses: str, run: bytes = RUN, config: bytes = b"c" * 32, boot: int = 1
) -> Signed[PeerCard]:
    told = PeerCard(boot=boot, name="x", addresses=addresses, config=config, schema=b"s" * 32)
    return seal(told, identity, run=run)


WELCOME = Welcome(run=RUN, card=card(ME, MINE), local=card(ME, MY_LOOPBACK, MINE))


def passes_on(*cards: bytes) -> Answer:
    async def answer(protocol: str, request: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        if protocol != PEERS_PROTOCOL:
            raise TransportError("refused")
        return encode(PeersResponse(cards))

    return answer


def dials_back(*, reached: bool) -> Answer:
    async def answer(protocol: str, request: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        if protocol != DIAL_BACK_PROTOCOL:
            raise TransportError("refused")
        return encode(DialBackResponse((MINE,), (MINE,) if reached else ()))

    return answer


class Scene:
    def __init__(self) -> None:
        self.welcome = replace(WELCOME)
        self.transport = ScriptedTransport(ME.peer_id)
        self.sink = RecordingSink()
        self.greeted: set[PeerId] = set()
        book, counters, rng = AddressBook(), Counters(), random.Random(1)
        exchange = PeerExchange(
            self.transport,
            book,
            welcome=self.welcome,
            greeted=self.who_is_greeted,
            sink=self.sink,
            counters=counters,
            rng=rng,
            every_s=15.0,
            request_s=5.0,
        )
        reachability = Reachability(
            self.transport, self.welcome, greeted=self.who_is_greeted, sink=self.sink, counters=counters, rng=rng
        )
        self.exchange = exchange
        self.meeting = Meeting(
            self.transport,
            book,
            exchange=exchange,
            desk=DialBackDesk(self.transport, run=RUN, admitted=self.who_is_greeted),
            reachability=reachability,
            keeper=None,
        )

    def who_is_greeted(self) -> frozenset[PeerId]:
        return frozenset(self.greeted)

    def greet(self, identity: Identity, host: str, answer: Answer, *addresses: str) -> None:
        """Let a peer connect from `host`, show its card, and answer our questions so."""
        peer = identity.peer_id
        self.transport.hosts[peer] = host
        self.transport.answers[peer] = answer
        self.transport.joins(peer)
        self.greeted.add(peer)
        self.meeting.learn(peer, card(identity, *addresses).data)

    def known(self) -> list[str]:
        return sorted(entry.address for entry in self.meeting.book.entries())

    async def asks_for_peers(self, peer: PeerId) -> list[bytes]:
        return list(decode(await self.transport.handlers[PEERS_PROTOCOL](peer, b""), PeersResponse).cards)

    async def asks_to_dial(self, identity: Identity, told: Signed[PeerCard]) -> DialBackResponse:
        answer = await self.transport.handlers[DIAL_BACK_PROTOCOL](identity.peer_id, encode(DialBackRequest(told.data)))
        return decode(answer, DialBackResponse)

    def events(self, kind: type) -> list[object]:
        return [event for event in self.sink.events if isinstance(event, kind)]


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with trio.open_nursery() as nursery:
        made = Scene()
        await nursery.start(made.meeting.serve)
        yield made
        nursery.cancel_scope.cancel()


async def test_what_a_neighbour_passes_on_is_in_the_book_within_a_second(autojump_clock: MockClock) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", passes_on(card(BOB, BOBS).data), ALICES)
        await trio.sleep(1.0)
        assert here.known() == [ALICES, BOBS]


@pytest.mark.parametrize(
    ("passed", "reason"),
    [
        (card(BOB, BOBS, run=b"x" * 16).data, "run"),
        (card(BOB, BOBS).data[:-1] + bytes([card(BOB, BOBS).data[-1] ^ 1]), "bad_signature"),
        (b"garbage", "malformed"),
        (bytes(4096), "malformed"),
    ],
)
async def test_card_without_a_valid_signature_is_refused_and_blamed_on_who_passed_it(
    autojump_clock: MockClock, passed: bytes, reason: str
) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", passes_on(passed), ALICES)
        await trio.sleep(1.0)
        assert here.known() == [ALICES]
        told = here.events(MessageRefused)
        assert [(event.remote, event.reason) for event in told] == [(ALICE.peer_id, reason)]  # type: ignore[attr-defined]  # of MessageRefused


async def test_cards_of_other_settings_and_useless_addresses_are_left_aside(autojump_clock: MockClock) -> None:
    async with scene() as here:
        cards = (card(BOB, BOBS, config=b"o" * 32).data, card(BOB, MY_LOOPBACK, "/ip4/169.254.0.1/tcp/1").data)
        here.greet(ALICE, "203.0.113.2", passes_on(*cards), ALICES)
        await trio.sleep(1.0)
        assert here.known() == [ALICES]


async def test_loopback_is_passed_on_to_peers_on_loopback_only(autojump_clock: MockClock) -> None:
    async with scene() as here:
        here.greet(ALICE, "127.0.0.1", passes_on(), "/ip4/127.0.0.1/tcp/5")
        here.greet(BOB, "203.0.113.3", passes_on(), BOBS)
        own = card(ME, MINE).data
        assert await here.asks_for_peers(BOB.peer_id) == [own]
        assert await here.asks_for_peers(ALICE.peer_id) == [own, card(BOB, BOBS).data]
        assert WELCOME.card_for(remote_host="127.0.0.1").message.addresses == (MY_LOOPBACK, MINE)
        assert WELCOME.card_for(remote_host="203.0.113.3").message.addresses == (MINE,)


async def test_stranger_learns_nobody_and_a_lost_peer_is_passed_on_no_more(autojump_clock: MockClock) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", passes_on(), ALICES)
        assert await here.asks_for_peers(BOB.peer_id) == []
        here.greet(BOB, "203.0.113.3", passes_on(), BOBS)
        assert card(ALICE, ALICES).data in await here.asks_for_peers(BOB.peer_id)
        here.greeted.discard(ALICE.peer_id)
        assert await here.asks_for_peers(BOB.peer_id) == [card(ME, MINE).data]


async def test_a_peers_last_card_is_passed_on_of_its_latest_life_and_of_each_kind(autojump_clock: MockClock) -> None:
    """The cards of where it was before lead nowhere; that with loopback is for others than that without."""
    async with scene() as here:
        here.greet(ALICE, "127.0.0.1", passes_on(), ALICES)
        here.greet(BOB, "127.0.0.1", passes_on(), BOBS)
        moves = [card(ALICE, f"/ip4/203.0.113.2/tcp/{port}", boot=2).data for port in (1, 2, 3)]
        local = [card(ALICE, f"/ip4/127.0.0.1/tcp/{port}", boot=2).data for port in (1, 2)]
        for data in (*moves[:2], *local, moves[2], card(ALICE, ALICES, boot=1).data):
            here.meeting.learn(ALICE.peer_id, data)
        assert await here.asks_for_peers(BOB.peer_id) == [card(ME, MINE).data, local[1], moves[2]]
        latest = card(ALICE, ALICES, boot=3).data
        here.meeting.learn(ALICE.peer_id, latest)
        assert await here.asks_for_peers(BOB.peer_id) == [card(ME, MINE).data, latest]


async def test_a_peer_that_moves_shows_its_new_card_and_asks_anew_whether_it_can_be_reached(
    autojump_clock: MockClock,
) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", dials_back(reached=True), ALICES)
        await trio.sleep(2.0)
        assert here.meeting.reached == (MINE,)
        moved = "/ip4/203.0.113.9/tcp/4001"
        here.welcome.card = card(ME, moved)
        here.meeting.moved()
        assert here.meeting.reached is None
        assert await here.asks_for_peers(ALICE.peer_id) == [card(ME, moved).data]
        await trio.sleep(2.0)
        assert here.meeting.reached == (), "what was reached is not where this peer is now"
        asked = [
            decode(data, DialBackRequest).card
            for _, _, protocol, data in here.transport.requests
            if protocol == DIAL_BACK_PROTOCOL
        ]
        assert asked == [card(ME, MINE).data, card(ME, moved).data]


async def test_an_answer_about_addresses_that_are_ours_no_more_says_nothing(autojump_clock: MockClock) -> None:
    async with scene() as here:
        quick = dials_back(reached=True)

        async def slow(protocol: str, request: bytes) -> bytes:
            if protocol == DIAL_BACK_PROTOCOL:
                await trio.sleep(3.0)
            return await quick(protocol, request)

        here.greet(ALICE, "203.0.113.2", slow, ALICES)
        await trio.sleep(2.0)
        here.welcome.card = card(ME, "/ip4/203.0.113.9/tcp/4001")
        here.meeting.moved()
        await trio.sleep(2.5)
        assert here.meeting.reached is None
        assert not here.events(AddressReached)


async def test_an_answer_about_our_addresses_that_is_none_is_told_with_who_gave_it(autojump_clock: MockClock) -> None:
    async def answer(protocol: str, _request: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return b"garbage" if protocol == DIAL_BACK_PROTOCOL else encode(PeersResponse(()))

    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", answer, ALICES)
        await trio.sleep(2.0)
        assert MessageRefused(remote=ALICE.peer_id, reason="malformed", detail=ANY) in here.events(MessageRefused)


async def test_hearsay_that_led_nowhere_does_not_come_back_with_the_same_card(autojump_clock: MockClock) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", passes_on(card(BOB, BOBS).data), ALICES)
        await trio.sleep(1.0)
        for _ in range(MAX_FAILURES):
            here.meeting.book.failed(BOB.peer_id, BOBS)
        assert here.known() == [ALICES]
        await trio.sleep(60.0)
        assert here.known() == [ALICES]
        here.meeting.learn(BOB.peer_id, card(BOB, BOBS).data)
        assert here.known() == [ALICES, BOBS], "its own word counts again"


async def test_one_that_makes_peers_up_keeps_nobody_out_of_the_book(autojump_clock: MockClock) -> None:
    """It tells of Bob first, and then of so many that he is displaced: whoever else knows him is heard all the same."""
    async with scene() as here:
        liar = Identity.for_tests(90)
        here.greet(liar, "203.0.113.4", passes_on(card(BOB, BOBS).data), "/ip4/203.0.113.4/tcp/4001")
        await trio.sleep(1.0)
        assert BOBS in here.known()
        for number in range(1000, 1000 + 2 * MAX_PEERS):
            made_up = card(Identity.for_tests(number), f"/ip4/198.51.100.1/tcp/{number}")
            here.exchange.learn(made_up.data, source=liar.peer_id)
        assert BOBS not in here.known()
        here.greet(ALICE, "203.0.113.2", passes_on(card(BOB, BOBS).data), ALICES)
        await trio.sleep(1.0)
        assert {ALICES, BOBS} <= set(here.known())


async def test_an_answer_names_a_bounded_number_of_peers_and_oneself_first(autojump_clock: MockClock) -> None:
    async with scene() as here:
        for number in range(10, 60):
            here.greet(Identity.for_tests(number), "203.0.113.9", passes_on(), f"/ip4/203.0.113.9/tcp/{number}")
        cards = await here.asks_for_peers(Identity.for_tests(10).peer_id)
        assert len(cards) == len(set(cards)) == 32
        assert cards[0] == card(ME, MINE).data


async def test_peer_that_was_reached_says_so_once(autojump_clock: MockClock) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", dials_back(reached=True), ALICES)
        await trio.sleep(1500.0)
        assert here.meeting.reached == (MINE,)
        assert here.events(AddressReached) == [AddressReached(addresses=(MINE,), remote=ALICE.peer_id)]


async def test_peer_that_nobody_could_reach_says_so_once_and_the_change_later(autojump_clock: MockClock) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", dials_back(reached=False), ALICES)
        here.greet(BOB, "203.0.113.3", dials_back(reached=False), BOBS)
        await trio.sleep(300.0)
        assert not here.meeting.reached
        assert here.meeting.reached is not None
        assert here.events(AddressesUnreached) == [AddressesUnreached(addresses=(MINE,), asked=2)]
        here.transport.answers[ALICE.peer_id] = dials_back(reached=True)
        await trio.sleep(120.0)
        assert here.meeting.reached == (MINE,)


async def test_dial_back_reports_what_answered_as_the_asker(autojump_clock: MockClock) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", passes_on(), ALICES)

        async def alice() -> PeerId:
            await trio.lowlevel.checkpoint()
            return ALICE.peer_id

        here.transport.dials[f"{ALICES}/p2p/{ALICE.peer_id}"] = alice
        answer = await here.asks_to_dial(ALICE, card(ALICE, ALICES))
        assert answer == DialBackResponse((ALICES,), (ALICES,))


async def test_dial_back_failure_takes_its_full_time_so_that_it_tells_nothing(autojump_clock: MockClock) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", passes_on(), ALICES)
        start = trio.current_time()
        answer = await here.asks_to_dial(ALICE, card(ALICE, ALICES, "/ip4/10.0.0.1/tcp/4001"))
        assert answer == DialBackResponse((ALICES,), ())
        assert trio.current_time() - start == pytest.approx(DIAL_S)
        assert [address for _, address in here.transport.dialled] == [f"{ALICES}/p2p/{ALICE.peer_id}"]


async def test_dial_backs_hold_up_no_dial_of_our_own(autojump_clock: MockClock) -> None:
    """At what an asker names, somebody may take the connection and say nothing; ten askers kept the configured
    addresses from being dialled."""
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", passes_on(), ALICES)
        await here.asks_to_dial(ALICE, card(ALICE, ALICES))
        assert list(here.transport.origins.values()) == [Origin.ASKED]


async def test_dial_backs_are_limited_for_each_asker_and_for_strangers_there_are_none(
    autojump_clock: MockClock,
) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", passes_on(), ALICES)
        here.transport.hosts[BOB.peer_id] = "203.0.113.3"
        assert await here.asks_to_dial(BOB, card(BOB, BOBS)) == DialBackResponse((), ())
        for _ in range(10):
            await here.asks_to_dial(ALICE, card(ALICE, ALICES))
        assert len(here.transport.dialled) == 1


async def test_dial_back_with_the_card_of_another_is_refused(autojump_clock: MockClock) -> None:
    async with scene() as here:
        here.greet(ALICE, "203.0.113.2", passes_on(), ALICES)
        with pytest.raises(ProtocolError, match="asks to dial"):
            await here.asks_to_dial(ALICE, card(BOB, BOBS))
        assert here.transport.dialled == []


async def test_book_file_is_written_and_read_again(tmp_path: Path) -> None:
    path, sink = tmp_path / "peers.book", RecordingSink()
    book = AddressBook()
    keeper = BookKeeper(book, path, sink=sink, blocking=in_place)
    keeper.load()
    book.answered(ALICE.peer_id, ALICES, unix_s=7)
    await keeper.save()
    again = AddressBook()
    BookKeeper(again, path, sink=sink, blocking=in_place).load()
    assert again.entries() == book.entries()
    assert sink.events == []


async def test_damaged_book_file_is_reported_and_replaced(tmp_path: Path) -> None:
    path, sink = tmp_path / "peers.book", RecordingSink()
    path.write_bytes(b"not a book")
    book = AddressBook()
    keeper = BookKeeper(book, path, sink=sink, blocking=in_place)
    keeper.load()
    assert [type(event) for event in sink.events] == [StateDamaged]
    book.heard(ALICE.peer_id, [ALICES])
    await keeper.save()
    again = AddressBook()
    BookKeeper(again, path, sink=RecordingSink(), blocking=in_place).load()
    assert again.entries() == book.entries()


async def test_disk_that_takes_no_book_costs_a_line_in_the_log(tmp_path: Path) -> None:
    sink, book = RecordingSink(), AddressBook()
    keeper = BookKeeper(book, tmp_path / "missing" / "peers.book", sink=sink, blocking=in_place)
    book.heard(ALICE.peer_id, [ALICES])
    await keeper.save()
    assert [type(event) for event in sink.events] == [StorageFailed]
