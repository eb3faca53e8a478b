"""A seed replays a virtual-time swarm to the last event."""

import trio
import trio.testing

from peer.errors import TransportError
from peer.network.deterministic_schedule import deterministic_scheduling
from peer.network.identity import Identity
from peer.network.memory_network import LinkProfile, MemoryNetwork, lognormal_latency
from peer.network.memory_transport import open_memory_transport
from peer.types import PeerId

IDS = [Identity.for_tests(number).peer_id for number in range(64)]


async def echo(peer: PeerId, data: bytes) -> bytes:
    return data


def history(seed: int) -> list[tuple[float, int, str]]:
    """Run a small swarm with every fault on, and return what each peer saw, and when."""
    seen: list[tuple[float, int, str]] = []
    profile = LinkProfile(latency=lognormal_latency(0.05, 0.8), gossip_loss=0.1, request_loss=0.1, duplication=0.05)

    async def live(network: MemoryNetwork, number: int) -> None:
        async with (
            open_memory_transport(network, IDS[number], f"/memory/{number}") as transport,
            trio.open_nursery() as nursery,
        ):

            async def watch_gossip() -> None:
                async for message in transport.gossip:
                    seen.append((trio.current_time(), number, message.data.decode()))

            async def watch_events() -> None:
                async for event in transport.events:
                    seen.append((trio.current_time(), number, repr(event)))

            transport.handle("echo/1", echo)
            nursery.start_soon(watch_gossip)
            nursery.start_soon(watch_events)
            await trio.sleep(0.1)
            for other in range(number):
                await transport.connect(f"/memory/{other}")
            for n in range(20):
                await transport.publish(b"%d of %d" % (n, number))
                try:
                    await transport.request(IDS[(number + 1) % 5], "echo/1", b"x")
                    seen.append((trio.current_time(), number, "answered"))
                except TransportError as error:
                    seen.append((trio.current_time(), number, str(error)))
                await trio.sleep(1)
            nursery.cancel_scope.cancel()

    async def scenario() -> None:
        network = MemoryNetwork(seed, profile=profile)
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(live, network, number)
            await trio.sleep(6)
            network.partition(IDS[:2])
            await trio.sleep(6)
            network.heal()

    with deterministic_scheduling(seed):
        trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))
    return seen


def test_one_seed_replays_to_the_last_event_and_another_differs() -> None:
    first = history(7)
    assert len(first) > 200
    for _ in range(3):
        assert history(7) == first
    assert history(8) != first


def test_deterministic_scheduling_leaves_trio_as_it_was() -> None:
    import trio._core._run as scheduler

    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    with deterministic_scheduling(1):
        scheduler._r.random()
    assert (scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()) == before
