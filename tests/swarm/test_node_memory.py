"""Ten minutes of virtual life with joins, crashes and strangers: no table or queue of a peer grows with time."""

import gc
from collections import deque
from collections.abc import Iterator

import trio

from peer.network.memory_network import LinkProfile, lognormal_latency
from peer.network.memory_transport import MemoryTransport
from tests.swarm.node_swarm import Node, NodeSwarm, demo_config, play
from tests.swarm.stranger import Stranger, answering, card_of, flood

ENDLESS = demo_config(stop={"mean_return": None, "max_rounds": None})
LOSSY = LinkProfile(latency=lognormal_latency(0.02, 0.5), gossip_loss=0.05, request_loss=0.02, loss_delay_s=1.0)
CONTAINERS = (dict, list, set, frozenset, tuple, deque)


def held_by(node: Node) -> dict[str, int]:
    """Return the number of elements in containers, by the class of `peer` that holds them, reached from the peer's
    live handlers; the recording of the test itself is left out."""
    assert node.transport is not None
    found: dict[str, int] = {}
    seen = {id(node), id(node.sink), id(node.times), id(node.sink.events)}
    waiting: list[tuple[str, object]] = [("handlers", node.transport._end.requests._handlers)]
    while waiting:
        holder, item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        kind = type(item)
        module = kind.__module__
        if isinstance(item, CONTAINERS):
            found[holder] = found.get(holder, 0) + len(item)
            waiting += [(holder, child) for child in children_of(item)]
        elif module.startswith("peer.") and not module.startswith(("peer.network.memory", "peer.config")):
            waiting += [(kind.__name__, child) for child in gc.get_referents(item)]
        elif kind.__name__ in ("function", "method", "cell", "partial"):
            waiting += [(holder, child) for child in gc.get_referents(item) if kind.__name__ != "function"]
            waiting += [(holder, cell) for cell in getattr(item, "__closure__", None) or ()]
    return found


def children_of(container: object) -> Iterator[object]:
    if isinstance(container, dict):
        yield from container.values()
    else:
        yield from container  # type: ignore[misc]  # one of CONTAINERS


def test_nothing_grows_with_time() -> None:
    async def scenario() -> None:
        async with NodeSwarm(4, seed=1, config=ENDLESS, profile=LOSSY) as swarm:
            swarm.start(0, 1, 2)
            stranger = Stranger(swarm)
            async with stranger.open() as transport, trio.open_nursery() as nursery:
                await swarm.until_round(1)
                transport.handle("card/1", answering(card_of(swarm, stranger)))
                await stranger.meet_all(transport)
                nursery.start_soon(lambda: flood_slowly(transport))
                sizes = []
                for minute in range(10):
                    swarm.start(3)
                    await trio.sleep(40.0)
                    swarm.crash(3)
                    await trio.sleep(20.0)
                    if minute in (2, 9):
                        sizes.append([held_by(node) for node in swarm.nodes[:3]])
                nursery.cancel_scope.cancel()
            assert min(node.last_round() for node in swarm.nodes[:3]) > 200
            for early, late in zip(*sizes, strict=True):
                assert {"Chain", "HeaderPool", "VoteBook", "Conductor"} <= set(late)
                for holder, count in late.items():
                    assert count <= 1.5 * early.get(holder, 0) + 40, f"{holder}: {early.get(holder, 0)} to {count}"
                assert sum(late.values()) <= 1.2 * sum(early.values()) + 200
            for node in swarm.nodes[:3]:
                assert node.transport is not None
                assert node.transport.gossip.statistics().current_buffer_used < 10
                assert node.transport.events.statistics().current_buffer_used < 10

    async def flood_slowly(transport: MemoryTransport) -> None:
        while True:
            await flood(transport, for_s=0.5)
            await trio.sleep(10.0)

    play(1, scenario)
