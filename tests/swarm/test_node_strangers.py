"""Peers that do not fit and strangers that mean harm: refused, named, counted, and the others go on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from peer.errors import ProtocolError
from peer.network.transport import MAX_MESSAGE_BYTES, DownloadHandler, RequestHandler
from peer.telemetry.peer_events import MessageRefused, PeerRefused
from peer.types import PeerId
from peer.wire.admission import ADMISSION_PROTOCOL
from peer.wire.limits import PROTOCOL_VERSION
from peer.wire.sync import BLOB_PROTOCOL, CARD_PROTOCOL, SYNC_PROTOCOL, SnapshotOffer, SyncResponse, Tip, encode
from tests.swarm.node_swarm import WELCOME, NodeSwarm, check_finals, demo_config, play
from tests.swarm.stranger import Stranger, answering, card_of, flood, garbage

TEN_ROUNDS = {"mean_return": None, "max_rounds": 10, "linger_s": 20.0}
CONFIG = demo_config(stop=TEN_ROUNDS)


async def check_the_others_finish(swarm: NodeSwarm, *numbers: int) -> None:
    outcomes = await swarm.until_finished(*numbers)
    assert len({outcome.tip.model for outcome in outcomes}) == 1
    assert {outcome.tip.round for outcome in outcomes} == {10}
    check_finals([swarm.nodes[number] for number in numbers])


@pytest.mark.parametrize(
    ("reason", "make_other"),
    [
        ("run", lambda: demo_config(name="elsewhere", stop=TEN_ROUNDS)),
        ("config", lambda: demo_config(stop=TEN_ROUNDS, ppo={"gamma": 0.5})),
    ],
)
def test_a_peer_with_other_settings_is_refused_by_name_and_trains_alone(
    reason: str, make_other: Callable[[], object]
) -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=1, config=CONFIG) as swarm:
            misfit = swarm.nodes[2]
            misfit.config = make_other()  # type: ignore[assignment]  # of a lambda in a table
            swarm.start()
            await check_the_others_finish(swarm, 0, 1)
            for node in swarm.nodes[:2]:
                refused = node.events(PeerRefused)
                assert {(event.remote, event.reason) for event in refused} == {(misfit.peer_id, reason)}
                assert node.counters[f"refused_{reason}"] > 0
                assert misfit.peer_id not in {event.remote for event in node.events(MessageRefused)}
            assert {event.remote for event in misfit.events(PeerRefused)} == {node.peer_id for node in swarm.nodes[:2]}
            assert misfit.last_round() >= 9  # alone

    play(1, scenario)


def test_a_peer_with_another_model_is_refused_by_name() -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=1, config=CONFIG) as swarm:
            swarm.nodes[2].num_params = 65
            swarm.start()
            await check_the_others_finish(swarm, 0, 1)
            for node in swarm.nodes[:2]:
                assert {event.reason for event in node.events(PeerRefused)} == {"schema"}
            assert swarm.nodes[2].last_round() >= 9

    play(1, scenario)


def test_a_refused_peer_is_not_dialled_in_a_loop() -> None:
    async def scenario() -> None:
        async with NodeSwarm(2, seed=1, config=demo_config(stop={"mean_return": None, "max_rounds": None})) as swarm:
            swarm.nodes[1].num_params = 65
            swarm.start()
            await trio.sleep(600.0)
            # Each meeting costs both sides one refusal as host and one as guest; backoff ends at 30 s a dial and side.
            assert len(swarm.nodes[0].events(PeerRefused)) <= 4 * (600 / 30 + 8)

    play(1, scenario)


def test_a_peer_of_another_protocol_version_is_refused_by_name() -> None:
    async def scenario() -> None:
        async with NodeSwarm(2, seed=1, config=CONFIG) as swarm:
            swarm.start()
            await swarm.until_round(1)
            stranger = Stranger(swarm)
            async with stranger.open() as transport:
                transport.handle(CARD_PROTOCOL, answering(card_of(swarm, stranger, version=PROTOCOL_VERSION + 1)))
                await stranger.meet_all(transport)
                await check_the_others_finish(swarm, 0, 1)
            for node in swarm.nodes:
                refused = node.events(PeerRefused)
                assert {(event.remote, event.reason) for event in refused} == {(stranger.identity.peer_id, "version")}

    play(1, scenario)


def test_a_card_of_somebody_else_is_refused() -> None:
    async def scenario() -> None:
        async with NodeSwarm(2, seed=1, config=CONFIG) as swarm:
            swarm.start()
            await swarm.until_round(1)
            thief, owner = Stranger(swarm, 90), Stranger(swarm, 91)
            async with thief.open() as transport:
                transport.handle(CARD_PROTOCOL, answering(card_of(swarm, owner)))
                await thief.meet_all(transport)
                await check_the_others_finish(swarm, 0, 1)
            assert {event.reason for event in swarm.nodes[0].events(PeerRefused)} == {"identity"}

    play(1, scenario)


async def silence(_peer: PeerId, _data: bytes) -> bytes:
    await trio.sleep_forever()
    raise AssertionError("unreachable")


async def refuse(_peer: PeerId, _data: bytes) -> bytes:
    await trio.lowlevel.checkpoint()
    raise ProtocolError("no", "nothing for you")


def serving(answer: RequestHandler) -> DownloadHandler:
    """Return what serves the same answers as downloads."""

    @asynccontextmanager
    async def serve(peer: PeerId, data: bytes) -> AsyncIterator[bytes]:
        yield await answer(peer, data)

    return serve


FAR_AHEAD = Tip(b"t" * 32, 9_000, 99_999)
BAD_ANSWERS: dict[str, RequestHandler] = {
    "garbage": answering(garbage(3, 3_000)),
    "empty": answering(b""),
    "oversize": answering(bytes(MAX_MESSAGE_BYTES + 1)),
    "large": answering(garbage(4, MAX_MESSAGE_BYTES)),
    "silence": silence,
    "refusal": refuse,
    "snapshot_of_1_gib": answering(encode(SyncResponse(FAR_AHEAD, (), SnapshotOffer(FAR_AHEAD, b"b" * 32, 1 << 30)))),
    "snapshot_nobody_has": answering(encode(SyncResponse(FAR_AHEAD, (), SnapshotOffer(FAR_AHEAD, b"b" * 32, 900)))),
    "many_bad_messages": answering(
        encode(SyncResponse(Tip(b"t" * 32, 9, 9), tuple(garbage(n, 300) for n in range(500)), None))
    ),
}


@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_an_admitted_peer_that_answers_badly_costs_nothing_but_counts(kind: str) -> None:
    """It has a valid card, so it is asked for its chain and payloads; every answer is bad."""

    async def scenario() -> None:
        async with NodeSwarm(3, seed=6, config=CONFIG) as swarm:
            swarm.start()
            await swarm.until_round(1)
            stranger = Stranger(swarm)
            async with stranger.open() as transport:
                transport.handle(CARD_PROTOCOL, answering(card_of(swarm, stranger)))
                transport.handle(ADMISSION_PROTOCOL, answering(WELCOME))
                transport.handle(SYNC_PROTOCOL, BAD_ANSWERS[kind])
                transport.handle_download(BLOB_PROTOCOL, serving(BAD_ANSWERS[kind]))
                await stranger.meet_all(transport)
                began = trio.current_time()
                await check_the_others_finish(swarm, 0, 1, 2)
                assert trio.current_time() - began < 10 * 6.0
            for node in swarm.nodes:
                totals = node.counters.totals()
                troubles = sum(count for name, count in totals.items() if name.startswith(("refused", "exchanges_f")))
                assert troubles > 0 or kind == "snapshot_nobody_has", totals
                blamed = {event.remote for event in node.events(MessageRefused)}
                assert blamed <= {stranger.identity.peer_id}

    play(6, scenario)


def test_garbage_by_gossip_and_by_request_is_counted_and_named() -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=7, config=CONFIG) as swarm:
            swarm.start()
            await swarm.until_round(1)
            stranger = Stranger(swarm)
            async with stranger.open() as transport:
                transport.handle(CARD_PROTOCOL, answering(card_of(swarm, stranger)))
                transport.handle(ADMISSION_PROTOCOL, answering(WELCOME))
                await stranger.meet_all(transport)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(lambda: flood(transport, for_s=15.0))
                    await check_the_others_finish(swarm, 0, 1, 2)
                    nursery.cancel_scope.cancel()
            for node in swarm.nodes:
                assert {event.remote for event in node.events(MessageRefused)} == {stranger.identity.peer_id}
                assert node.counters["refused_malformed"] > 20
                assert node.transport is not None
                assert node.transport.counters()["handler_errors"] == 0
                assert node.transport.counters()["protocol_errors"] > 20

    play(7, scenario)


def test_a_stranger_that_never_shows_a_card_is_sent_away() -> None:
    async def scenario() -> None:
        async with NodeSwarm(2, seed=8, config=demo_config(stop={"mean_return": None, "max_rounds": None})) as swarm:
            swarm.start()
            await swarm.until_round(1)
            stranger = Stranger(swarm)
            async with stranger.open() as transport:
                transport.handle(CARD_PROTOCOL, silence)
                await stranger.meet_all(transport)
                await trio.sleep(30.0)
                assert not transport.connected_peers()
            assert swarm.nodes[0].counters["greetings_failed"] == 1

    play(8, scenario)
