"""Pubsub is deaf, as a restarted peer may be for good: anti-entropy alone must carry everything."""

import pytest
import trio

from peer.network.memory_network import LinkProfile, lognormal_latency
from peer.telemetry.round_events import RoundSealed
from tests.swarm.node_swarm import NodeSwarm, check_finals, demo_config, play

ENDLESS = demo_config(stop={"mean_return": None, "max_rounds": None})
DEAF = LinkProfile(latency=lognormal_latency(0.01, 0.4), gossip_loss=1.0)


@pytest.mark.parametrize("seed", range(2))
def test_rounds_are_sealed_with_everybodys_work_when_no_gossip_arrives_at_all(seed: int) -> None:
    async def scenario() -> None:
        async with NodeSwarm(4, seed=seed, config=ENDLESS, profile=DEAF) as swarm:
            await swarm.start_spread()
            await trio.sleep(120.0)
            for node in swarm.nodes:
                sealed = node.events(RoundSealed)
                assert len(sealed) >= 15, "no round in eight seconds"
                late = sealed[len(sealed) // 2 :]
                assert sum(event.admitted for event in late) >= 3.5 * len(late), "work of others is missing"
            assert check_finals(swarm.nodes) >= 20

    play(seed, scenario)
