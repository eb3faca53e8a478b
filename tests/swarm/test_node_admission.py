"""Who may take part in whole swarms: keys, lists and proofs, and what becomes of the others."""

import random
from contextlib import suppress

import pytest
import trio

from peer.admission.swarm_key import SwarmKey
from peer.errors import TransportError
from peer.network.memory_transport import MemoryTransport
from peer.telemetry.events import PeerJoined, PeerRefused
from peer.wire.envelope import seal
from peer.wire.messages import PeerCard
from peer.wire.sync import BLOB_PROTOCOL, CARD_PROTOCOL, SYNC_PROTOCOL, BlobRequest, encode
from tests.swarm.node_swarm import NodeSwarm, Stranger, check_finals, demo_config, play

TEN_ROUNDS = demo_config(stop={"mean_return": None, "max_rounds": 10, "linger_s": 20.0})
KEY, OTHER_KEY = SwarmKey(b"k" * 32), SwarmKey(b"o" * 32)


@pytest.mark.parametrize("theirs", [OTHER_KEY, None])
def test_a_peer_with_a_wrong_swarm_key_is_refused_on_both_sides_and_trains_alone(theirs: SwarmKey | None) -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=1, config=TEN_ROUNDS) as swarm:
            for node in swarm.nodes:
                node.swarm_key = KEY
            misfit = swarm.nodes[2]
            misfit.swarm_key = theirs
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
            swarm.nodes[0].swarm_key, swarm.nodes[1].swarm_key = KEY, OTHER_KEY
            swarm.start()
            took_s = await swarm.until(lambda: all(node.events(PeerRefused) for node in swarm.nodes), within_s=2.0)
            assert took_s < 1.0  # two round trips on a network of 10 ms, against 30 s of libp2p's own key

    play(2, scenario)


def test_a_stranger_without_the_key_is_served_neither_gossip_nor_sync_nor_blobs() -> None:
    """It passes the card exchange, and then listens and asks for all it knows of."""

    async def scenario() -> None:
        async with NodeSwarm(2, seed=3, config=TEN_ROUNDS) as swarm:
            for node in swarm.nodes:
                node.swarm_key = KEY
            stranger, heard = Stranger(swarm), [0]
            refused: list[str] = []

            async def ask(transport: MemoryTransport) -> None:
                for node in swarm.nodes:
                    for protocol in (SYNC_PROTOCOL, BLOB_PROTOCOL):
                        with suppress(TransportError):
                            await transport.request(node.peer_id, protocol, encode(BlobRequest(bytes(32), 0, 1)))
                            raise AssertionError(f"{protocol} was answered")
                        refused.append(protocol)

            async def listen(transport: MemoryTransport) -> None:
                async for _ in transport.gossip:
                    heard[0] += 1

            async with stranger.open() as transport, trio.open_nursery() as nursery:
                card = swarm_card(swarm, stranger)

                async def show(_peer: str, _data: bytes) -> bytes:
                    await trio.lowlevel.checkpoint()
                    return card

                transport.handle(CARD_PROTOCOL, show)
                nursery.start_soon(listen, transport)
                swarm.start()
                while any(node.outcome is None for node in swarm.nodes):
                    await stranger.meet_all(transport)
                    await ask(transport)
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


def swarm_card(swarm: NodeSwarm, stranger: Stranger) -> bytes:
    """Return a card that fits, signed by the stranger itself."""
    from peer.config.digest import digest
    from peer.node import wire_run_id

    node = swarm.nodes[0]
    schema = node.agent_type(seed=1, local_seed=1, num_params=node.num_params).schema.digest
    card = PeerCard(boot=1, name="stranger", addresses=(), config=digest(node.config), schema=schema)
    return seal(card, stranger.identity, run=wire_run_id(node.config)).data
