"""The handshake: who is admitted, who is refused and why, and what becomes of lost events and lost answers."""

from collections.abc import Callable

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from peer.config.digest import digest, section_hints
from peer.config.load import load_config
from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.network.transport import NO_GOODBYE, STOPPED, AcceptFailed, ConnectionsTaken, GossipFailing, PeerDisconnected
from peer.services.welcome import Welcome
from peer.telemetry import connection_events
from peer.telemetry.peer_events import GossipInterrupted, PeerRefused
from peer.wire.envelope import Signed, seal
from peer.wire.messages import PeerCard
from peer.wire.sync import CARD_PROTOCOL
from tests.unit.services.greeting_hall import ALICE, BOB, ME, RUN, card, open_hall, shows
from tests.unit.services.scripted_transport import Answer, is_broken, is_silent


async def test_a_peer_with_a_fitting_card_is_reachable_under_its_name(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE, boot=7)))
        await trio.sleep(0.1)
        assert hall.joined() == [(ALICE.peer_id, 7, 2)]
        assert hall.told == [frozenset({ALICE.peer_id})]
        assert hall.names.name_of(ALICE.peer_id) == "alice"
        hall.transport.leaves(ALICE.peer_id, "reset")
        await trio.sleep(0.1)
        assert hall.left() == [(ALICE.peer_id, "reset")]
        assert hall.told[-1] == frozenset()


async def test_a_card_that_has_changed_is_shown_to_all_that_were_greeted_before(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE)))
        hall.arrives(BOB, shows(card(BOB)))
        await trio.sleep(0.1)
        hall.transport.answers |= {ALICE.peer_id: is_silent, BOB.peer_id: is_broken}
        moved = seal(PeerCard(1, "me", ("/ip4/192.0.2.9/tcp/1",), b"c" * 32, b"s" * 32), ME, run=RUN)
        hall.welcome.card = moved
        hall.greeter.show_anew()
        await trio.sleep(0.1)
        shown = [(peer, data) for _, peer, protocol, data in hall.transport.requests if protocol == CARD_PROTOCOL]
        assert sorted(shown[2:]) == sorted([(ALICE.peer_id, moved.data), (BOB.peer_id, moved.data)])
        assert hall.left() == [], "who does not answer has other troubles, and is found out otherwise"


async def test_both_cards_of_a_peer_are_learned_in_whichever_order_they_come(autojump_clock: MockClock) -> None:
    """It may answer without its loopback address, before it knows the connection, and name it in its own question."""
    bare, full = card(ALICE), card(ALICE, addresses=("/ip4/127.0.0.1/tcp/4001",))

    async def asks_before_it_answers(protocol: str, request: bytes) -> bytes:
        await hall.transport.handlers[CARD_PROTOCOL](ALICE.peer_id, full)
        return bare

    async with open_hall() as hall:
        hall.arrives(ALICE, asks_before_it_answers)
        await trio.sleep(0.1)
        assert hall.learned == [(ALICE.peer_id, bare), (ALICE.peer_id, full)]
        await hall.transport.handlers[CARD_PROTOCOL](ALICE.peer_id, full)
        assert hall.learned[2:] == [(ALICE.peer_id, full)]
        hall.arrives(BOB, shows(card(BOB)))
        await trio.sleep(0.1)
        assert hall.learned[3:] == [(BOB.peer_id, card(BOB))]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("run", lambda: card(ALICE, run=b"x" * 16)),
        ("config", lambda: card(ALICE, config=b"x" * 32)),
        ("schema", lambda: card(ALICE, schema=b"x" * 32)),
        ("identity", lambda: card(BOB)),
        ("bad_signature", lambda: card(ALICE)[:-1] + bytes([card(ALICE)[-1] ^ 1])),
        ("malformed", lambda: b"\xc1"),
        ("malformed", lambda: b""),
        ("oversize", lambda: bytes(100_000)),
    ],
)
async def test_a_card_that_does_not_fit_is_refused_counted_and_disconnected(
    reason: str, shown: Callable[[], bytes], autojump_clock: MockClock
) -> None:
    async with open_hall() as hall:
        hall.transport.hosts[ALICE.peer_id] = "192.0.2.9"
        hall.arrives(ALICE, shows(shown()))
        await trio.sleep(0.1)
        assert hall.refused() == [(ALICE.peer_id, reason)]
        assert [event.host for event in hall.sink.events if isinstance(event, PeerRefused)] == ["192.0.2.9"]
        assert hall.counters[f"refused_{reason}"] == 1
        assert hall.transport.disconnected == [ALICE.peer_id]
        assert hall.told == []
        assert hall.joined() == []


def test_a_card_of_other_settings_is_refused_with_the_sections_that_differ() -> None:
    def sealed(*overrides: str) -> Signed[PeerCard]:
        config = load_config([], {}, overrides)
        told = PeerCard(boot=1, name="x", addresses=(), config=digest(config), schema=b"s" * 32)
        return seal(msgspec.structs.replace(told, sections=section_hints(config)), ALICE, run=RUN)

    welcome = Welcome(run=RUN, card=sealed("compute.nice=1"))
    with pytest.raises(ProtocolError, match=r"differs in a key marked \(=\) in configs/config.yaml, in ppo, stop$"):
        welcome.check(ALICE.peer_id, sealed("ppo.gamma=0.5", "stop.episodes=7").data)
    with pytest.raises(ProtocolError, match=r"in configs/config.yaml$"):
        welcome.check(ALICE.peer_id, card(ALICE))


def test_a_card_of_another_run_is_refused_with_what_to_do() -> None:
    welcome = Welcome(run=RUN, card=seal(PeerCard(1, "me", (), b"c" * 32, b"s" * 32), ME, run=RUN))
    with pytest.raises(ProtocolError, match=r"give both the same run\.name"):
        welcome.check(ALICE.peer_id, card(ALICE, run=b"x" * 16))


async def test_a_stranger_is_shown_our_card_so_that_its_user_learns_why(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        answer = await hall.transport.handlers[CARD_PROTOCOL](ALICE.peer_id, card(ALICE, config=b"x" * 32))
        assert answer == card(ME)
        assert hall.refused() == [(ALICE.peer_id, "config")]
        with pytest.raises(ProtocolError):
            Welcome(run=b"y" * 16, card=hall.welcome.card).check(ME.peer_id, answer)


async def test_a_refused_peer_that_hangs_up_first_is_named_with_where_it_was(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:

        async def shows_and_leaves(_protocol: str, _data: bytes) -> bytes:
            await trio.sleep(0.1)
            hall.transport.leaves(ALICE.peer_id, NO_GOODBYE)
            hall.transport.hosts.clear()
            return card(ALICE, config=b"x" * 32)

        hall.transport.hosts[ALICE.peer_id] = "192.0.2.9"
        hall.arrives(ALICE, shows_and_leaves)
        await trio.sleep(1.0)
        assert [event.host for event in hall.sink.events if isinstance(event, PeerRefused)] == ["192.0.2.9"]


async def test_a_lost_event_of_a_new_connection_is_made_up_for(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE)), tell=False)
        await trio.sleep(1.5)
        assert [peer for peer, _, _ in hall.joined()] == [ALICE.peer_id]


async def test_a_lost_event_of_a_lost_connection_is_made_up_for(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE)))
        await trio.sleep(0.1)
        hall.transport.leaves(ALICE.peer_id, tell=False)
        await trio.sleep(2.5)
        assert hall.told[-1] == frozenset()
        assert hall.left() == [(ALICE.peer_id, "the connection ended")]


async def test_an_event_that_is_on_its_way_is_not_taken_for_lost(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE)))
        await trio.sleep(0.9)
        hall.transport.leaves(ALICE.peer_id, tell=False)
        await trio.sleep(0.2)  # what is connected is compared meanwhile
        assert hall.left() == []
        hall.transport.happens(PeerDisconnected(peer=ALICE.peer_id, cause=STOPPED, stopped=True))
        await trio.sleep(2.0)
        assert hall.left() == []
        assert hall.stopped() == [(ALICE.peer_id, 1)]


async def test_a_peer_that_stops_is_told_from_one_that_is_lost(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        for who in (ALICE, BOB):
            hall.arrives(who, shows(card(who)))
        await trio.sleep(0.1)
        hall.transport.stops(ALICE.peer_id)
        await trio.sleep(1.0)
        hall.transport.leaves(BOB.peer_id, NO_GOODBYE)
        await trio.sleep(2.0)
        assert hall.stopped() == [(ALICE.peer_id, 2)]
        assert hall.left() == [(BOB.peer_id, NO_GOODBYE)]
        assert hall.told[-2:] == [frozenset({BOB.peer_id}), frozenset()]
        assert (hall.counters["peers_stopped"], hall.counters["peers_lost"]) == (1, 1)
        gone = hall.greeter.departures.latest(trio.current_time())
        assert [(each.peer, each.stopped, each.cause) for each in gone] == [
            (BOB.peer_id, False, NO_GOODBYE),
            (ALICE.peer_id, True, STOPPED),
        ]
        hall.arrives(ALICE, shows(card(ALICE, boot=2)))
        await trio.sleep(0.1)
        assert [each.peer for each in hall.greeter.departures.latest(trio.current_time())] == [BOB.peer_id]


async def test_a_stranger_that_says_goodbye_is_told_to_nobody(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, is_silent)
        await trio.sleep(0.1)
        hall.transport.stops(ALICE.peer_id)
        await trio.sleep(10.0)
        assert hall.stopped() == []
        assert hall.left() == []
        assert hall.told == []
        assert (hall.counters["peers_stopped"], hall.counters["peers_lost"]) == (0, 0)
        assert hall.greeter.departures.latest(trio.current_time()) == []


async def test_a_peer_that_reconnects_is_greeted_again_with_its_new_boot(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE, boot=1)))
        await trio.sleep(0.1)
        hall.transport.leaves(ALICE.peer_id)
        hall.arrives(ALICE, shows(card(ALICE, boot=2)))
        await trio.sleep(0.1)
        assert [boot for _, boot, _ in hall.joined()] == [1, 2]
        assert hall.told == [frozenset({ALICE.peer_id}), frozenset(), frozenset({ALICE.peer_id})]


async def test_a_new_process_of_a_greeted_peer_takes_the_place_of_the_old_one_at_once(
    autojump_clock: MockClock,
) -> None:
    """It is killed and started anew, and its old connection has not been noticed to be dead."""
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE, boot=1)))
        await trio.sleep(0.1)
        reborn = Identity.for_tests(2, life=1)
        hall.transport.sessions[ALICE.peer_id].append(reborn.session)
        hall.transport.answers[ALICE.peer_id] = shows(card(reborn, boot=2))
        await hall.transport.handlers[CARD_PROTOCOL](ALICE.peer_id, card(reborn, boot=2))
        await trio.sleep(0.1)
        assert [boot for _, boot, _ in hall.joined()] == [1, 2]
        assert hall.left() == [(ALICE.peer_id, "started anew as boot 2")]
        assert hall.transport.sessions_of(ALICE.peer_id) == {reborn.session}


async def test_an_old_card_played_back_replaces_nobody(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE, boot=1)))
        await trio.sleep(0.1)
        await hall.transport.handlers[CARD_PROTOCOL](ALICE.peer_id, card(Identity.for_tests(2, life=1), boot=9))
        await trio.sleep(5.0)
        assert [boot for _, boot, _ in hall.joined()] == [1]
        assert hall.left() == []


async def test_a_second_process_that_shows_no_card_is_asked_for_it(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE, boot=1)))
        await trio.sleep(0.1)
        reborn = Identity.for_tests(2, life=1)
        hall.transport.sessions[ALICE.peer_id].append(reborn.session)
        hall.transport.answers[ALICE.peer_id] = shows(card(reborn, boot=2))
        await trio.sleep(1.5)
        assert [boot for _, boot, _ in hall.joined()] == [1, 2]


async def test_a_peer_that_leaves_while_it_is_greeted_never_counts(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:

        async def late(_protocol: str, _data: bytes) -> bytes:
            await trio.sleep(1.0)
            return card(ALICE)

        hall.arrives(ALICE, late)
        await trio.sleep(0.5)
        hall.transport.leaves(ALICE.peer_id)
        await trio.sleep(10.0)
        assert hall.told == []
        assert hall.joined() == []


async def test_a_peer_that_is_not_ready_yet_is_asked_again_after_a_pause(autojump_clock: MockClock) -> None:
    """It accepts connections as soon as its network is up, and answers once its services are."""
    async with open_hall() as hall:

        async def ready_after_a_second(protocol: str, data: bytes) -> bytes:
            if trio.current_time() < 1.0:
                return await is_broken(protocol, data)
            return card(ALICE)

        hall.arrives(ALICE, ready_after_a_second)
        await trio.sleep(2.0)
        assert [peer for peer, _, _ in hall.joined()] == [ALICE.peer_id]
        assert len(hall.transport.requests) == 3
        assert hall.transport.disconnected == []


@pytest.mark.parametrize("answer", [is_broken, is_silent])
async def test_a_peer_that_never_answers_is_sent_away(answer: Answer, autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, answer)
        await trio.sleep(30.0)
        assert hall.transport.disconnected == [ALICE.peer_id]
        assert hall.counters["greetings_failed"] == 1
        assert len(hall.transport.requests) == 4
        assert hall.told == []


async def test_many_slow_peers_do_not_delay_a_quick_one(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        for number in range(10, 60):
            hall.arrives(Identity.for_tests(number), is_silent)
        hall.arrives(ALICE, shows(card(ALICE)))
        await trio.sleep(0.1)
        assert [peer for peer, _, _ in hall.joined()] == [ALICE.peer_id]


async def test_a_connection_that_flaps_is_greeted_once_at_a_time_and_in_the_end(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        greeting = most = 0

        async def answer(_protocol: str, _data: bytes) -> bytes:
            nonlocal greeting, most
            greeting += 1
            most = max(most, greeting)
            await trio.sleep(0.01)
            greeting -= 1
            return card(ALICE)

        for _ in range(100):
            hall.arrives(ALICE, answer)
            hall.transport.leaves(ALICE.peer_id)
        hall.arrives(ALICE, answer)
        await trio.sleep(2.0)
        assert most == 1
        assert len(hall.transport.requests) <= 3
        assert hall.told[-1] == frozenset({ALICE.peer_id})


async def test_an_admitted_peer_that_takes_no_gossip_is_told_and_others_are_not(autojump_clock: MockClock) -> None:
    async with open_hall() as hall:
        hall.arrives(ALICE, shows(card(ALICE)))
        await trio.sleep(0.1)
        for who in (ALICE, BOB):
            hall.transport.happens(GossipFailing(peer=who.peer_id, failures=4, cause="reset"))
        await trio.sleep(0.1)
        told = [event for event in hall.sink.events if isinstance(event, GossipInterrupted)]
        assert told == [GossipInterrupted(remote=ALICE.peer_id, failures=4, cause="reset")]


async def test_connections_that_run_out_over_strangers_are_told() -> None:
    async with open_hall() as hall:
        hall.transport.happens(ConnectionsTaken(connections=64, strangers=20))
        await wait_all_tasks_blocked()
        told = [event for event in hall.sink.events if isinstance(event, connection_events.ConnectionsTaken)]
        assert told == [connection_events.ConnectionsTaken(connections=64, strangers=20)]


async def test_a_system_that_gives_no_more_connections_is_told() -> None:
    async with open_hall() as hall:
        hall.transport.happens(AcceptFailed(cause="too many open files; raise the limit"))
        await wait_all_tasks_blocked()
        assert connection_events.AcceptFailed(cause="too many open files; raise the limit") in hall.sink.events
