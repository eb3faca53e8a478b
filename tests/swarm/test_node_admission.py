"""Who may take part in whole swarms: keys, lists and proofs, and what becomes of the others."""

import random
from contextlib import suppress

import pytest
import trio

from peer.admission.allow_list import AllowListFile, Authority, Listed, signed, with_peer
from peer.admission.policy import AdmissionPolicy, FoundList
from peer.admission.swarm_key import SwarmKey
from peer.errors import TransportError
from peer.network.identity import Identity
from peer.network.memory_transport import MemoryTransport
from peer.telemetry.peer_events import AllowListAdopted, AllowListRefused, NotAllowed, PeerJoined, PeerRefused
from peer.telemetry.round_events import RoundSealed
from peer.wire.sync import BLOB_PROTOCOL, CARD_PROTOCOL, SYNC_PROTOCOL, BlobRequest, encode
from tests.swarm.node_swarm import NodeSwarm, check_finals, demo_config, play
from tests.swarm.stranger import Stranger, answering, ask, card_of

TEN_ROUNDS = demo_config(stop={"mean_return": None, "max_rounds": 10, "linger_s": 20.0})
KEY, OTHER_KEY = SwarmKey(b"k" * 32), SwarmKey(b"o" * 32)


@pytest.mark.parametrize("theirs", [OTHER_KEY, None])
def test_a_peer_with_a_wrong_swarm_key_is_refused_on_both_sides_and_trains_alone(theirs: SwarmKey | None) -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=1, config=TEN_ROUNDS) as swarm:
            for node in swarm.nodes:
                node.admission = AdmissionPolicy(swarm_key=KEY)
            misfit = swarm.nodes[2]
            misfit.admission = AdmissionPolicy(swarm_key=theirs)
            swarm.start()
            outcomes = await swarm.until_finished(0, 1)
            assert len({outcome.tip.model for outcome in outcomes}) == 1
            assert check_finals(swarm.nodes[:2]) > 0
            for node in swarm.nodes[:2]:
                assert {(event.remote, event.reason) for event in node.events(PeerRefused)} == {
                    (misfit.peer_id, "swarm_key")
                }
                assert misfit.peer_id not in {event.remote for event in node.events(PeerJoined)}
                assert misfit.peer_id not in {member.peer for member in outcomes[0].tip.roster}
            said = {(event.remote, event.reason) for event in misfit.events(PeerRefused)}
            assert said == {(node.peer_id, "swarm_key") for node in swarm.nodes[:2]}
            assert not misfit.events(PeerJoined)
            assert misfit.last_round() >= 9  # alone

    play(1, scenario)


def test_a_refused_key_is_told_at_once() -> None:
    async def scenario() -> None:
        async with NodeSwarm(2, seed=2, config=TEN_ROUNDS) as swarm:
            swarm.nodes[0].admission = AdmissionPolicy(swarm_key=KEY)
            swarm.nodes[1].admission = AdmissionPolicy(swarm_key=OTHER_KEY)
            swarm.start()
            took_s = await swarm.until(lambda: all(node.events(PeerRefused) for node in swarm.nodes), within_s=2.0)
            assert took_s < 1.0  # two round trips on a network of 10 ms, against 30 s of libp2p's own key

    play(2, scenario)


def test_a_stranger_without_the_key_is_served_neither_gossip_nor_sync_nor_blobs() -> None:
    """It passes the card exchange, and then listens and asks for all it knows of."""

    async def scenario() -> None:
        async with NodeSwarm(2, seed=3, config=TEN_ROUNDS) as swarm:
            for node in swarm.nodes:
                node.admission = AdmissionPolicy(swarm_key=KEY)
            stranger, heard = Stranger(swarm), [0]
            refused: list[str] = []

            async def ask_all(transport: MemoryTransport) -> None:
                for node in swarm.nodes:
                    for protocol, data in ((SYNC_PROTOCOL, b""), (BLOB_PROTOCOL, encode(BlobRequest(bytes(32), 0, 1)))):
                        with pytest.raises(TransportError):
                            await ask(transport, node.peer_id, protocol, data)
                        refused.append(protocol)

            async def listen(transport: MemoryTransport) -> None:
                async for _ in transport.gossip:
                    heard[0] += 1

            async with stranger.open() as transport, trio.open_nursery() as nursery:
                transport.handle(CARD_PROTOCOL, answering(card_of(swarm, stranger)))
                nursery.start_soon(listen, transport)
                swarm.start()
                while any(node.outcome is None for node in swarm.nodes):
                    await stranger.meet_all(transport)
                    await ask_all(transport)
                    with suppress(TransportError):
                        await transport.publish(random.Random(3).randbytes(300))
                    await trio.sleep(0.1)
                nursery.cancel_scope.cancel()
            assert len(refused) > 10
            assert heard == [0]
            for node in swarm.nodes:
                assert stranger.identity.peer_id not in {event.remote for event in node.events(PeerJoined)}
            assert check_finals(swarm.nodes) > 0

    play(3, scenario)


# The allow-list

CHIEF = Identity.for_tests(70)
AUTHORITY = Authority(keys=(CHIEF.peer_id,))
ENDLESS = demo_config(name="virtual", stop={"mean_return": None, "max_rounds": None})


def list_of(swarm: NodeSwarm, *numbers: int, version: int) -> bytes:
    file = AllowListFile(run="virtual", version=version)
    for number in numbers:
        file = with_peer(file, Listed(swarm.nodes[number].peer_id, f"peer-{number}"))
    return signed(file, CHIEF).text()


def give_lists(swarm: NodeSwarm, lists: dict[int, bytes]) -> None:
    """Have every peer believe the authority, and those named know a list when they start."""
    for node in swarm.nodes:
        known = (FoundList("swarm.json", lists[node.number]),) if node.number in lists else ()
        node.admission = AdmissionPolicy(run="virtual", authority=AUTHORITY, known=known)


def allowed_versions(swarm: NodeSwarm) -> list[int]:
    return [max((event.version for event in node.events(AllowListAdopted)), default=0) for node in swarm.nodes]


def test_a_peer_that_is_not_on_the_list_takes_no_part_and_both_sides_say_why() -> None:
    async def scenario() -> None:
        async with NodeSwarm(4, seed=4, config=TEN_ROUNDS) as swarm:
            give_lists(swarm, {0: list_of(swarm, 0, 1, 2, version=1)})  # the others hear of it
            swarm.start()
            outcomes = await swarm.until_finished(0, 1, 2)
            outsider = swarm.nodes[3]
            for outcome in outcomes:
                assert {member.peer for member in outcome.tip.roster} == {node.peer_id for node in swarm.nodes[:3]}
            assert check_finals(swarm.nodes[:3]) > 0
            assert "not_allowed" in {event.reason for event in swarm.nodes[0].events(PeerRefused)}
            assert {event.peer_id for event in outsider.events(NotAllowed)} == {outsider.peer_id}
            assert not outsider.events(PeerJoined)
            assert outsider.last_round() >= 5  # alone

    play(4, scenario)


def test_a_new_list_spreads_from_one_peer_and_the_expelled_is_left_out_without_a_fork() -> None:
    async def scenario() -> None:
        async with NodeSwarm(5, seed=5, config=ENDLESS) as swarm:
            give_lists(swarm, {number: list_of(swarm, 0, 1, 2, 3, 4, version=1) for number in range(5)})
            swarm.start()
            await swarm.until(lambda: any(e.admitted == 5 for e in swarm.nodes[0].events(RoundSealed)), within_s=60.0)
            honest, expelled = swarm.nodes[:4], swarm.nodes[4]
            swarm.nodes[2].new_list = list_of(swarm, 0, 1, 2, 3, version=2)
            took_s = await swarm.until(lambda: allowed_versions(swarm)[:4] == [2] * 4, within_s=30.0)
            assert took_s < 10.0
            await swarm.until(
                lambda: (
                    not any(expelled.peer_id in node.transport.connected_peers() for node in honest if node.transport)
                ),
                within_s=5.0,
            )
            number = max(node.last_round() for node in honest) + 4
            await swarm.until_round(number, 0, 1, 2, 3)
            for node in honest:
                assert node.events(RoundSealed)[-1].roster == 4
                assert node.events(RoundSealed)[-1].admitted == 4
            assert check_finals(honest) > 10
            assert expelled.events(NotAllowed)

    play(5, scenario)


def test_a_newcomer_brings_the_list_that_names_it() -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=6, config=ENDLESS) as swarm:
            old, new = list_of(swarm, 0, 1, version=1), list_of(swarm, 0, 1, 2, version=2)
            give_lists(swarm, {0: old, 1: old, 2: new})
            swarm.start()
            await swarm.until(lambda: any(e.admitted == 3 for e in swarm.nodes[0].events(RoundSealed)), within_s=60.0)
            assert allowed_versions(swarm) == [2, 2, 2]

    play(6, scenario)


def test_an_old_list_and_one_that_nobody_signed_change_nothing() -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=7, config=ENDLESS) as swarm:
            give_lists(swarm, {number: list_of(swarm, 0, 1, 2, version=5) for number in range(3)})
            swarm.start()
            await swarm.until_round(2)
            swarm.nodes[0].new_list = list_of(swarm, 0, 1, version=4)
            swarm.nodes[1].new_list = AllowListFile(run="virtual", version=9).text()
            await trio.sleep(20.0)
            assert allowed_versions(swarm) == [5, 5, 5]
            assert swarm.nodes[1].events(AllowListRefused)
            assert {event.file for node in swarm.nodes for event in node.events(AllowListRefused)} == {"swarm.json"}
            (older,) = swarm.nodes[0].events(AllowListRefused)
            assert older.cause == "version 4 gives way to version 5, which holds: change and sign that"
            assert swarm.nodes[0].events(RoundSealed)[-1].admitted == 3

    play(7, scenario)


def test_peers_that_believe_different_authorities_refuse_each_other() -> None:
    async def scenario() -> None:
        async with NodeSwarm(2, seed=8, config=TEN_ROUNDS) as swarm:
            give_lists(swarm, {0: list_of(swarm, 0, 1, version=1)})
            swarm.nodes[1].admission = AdmissionPolicy(run="virtual")
            swarm.start()
            await swarm.until_finished()
            for node in swarm.nodes:
                assert {event.reason for event in node.events(PeerRefused)} == {"authorities"}

    play(8, scenario)
