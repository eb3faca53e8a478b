"""Whole peers in groups over the memory transport: headers go from hand to hand, the rest by gossip."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from peer import round_parts
from peer.config.schema import Config
from peer.network.memory_network import LinkProfile
from peer.rounds.rules import RoundRules
from tests.swarm.node_swarm import CALM, LOSSY, NodeSwarm, check_finals, demo_config, play

ROUNDS = 10


@pytest.fixture
def in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nine peers be a large swarm, with three in a group."""
    plain: Callable[[Config], RoundRules] = round_parts.round_rules
    monkeypatch.setattr(round_parts, "round_rules", lambda config: replace(plain(config), flat_peers=4, group_peers=3))


@pytest.mark.usefixtures("in_groups")
@pytest.mark.parametrize("profile", [CALM, LOSSY], ids=["calm", "lossy"])
def test_all_peers_end_with_the_same_model(profile: LinkProfile, tmp_path: Path) -> None:
    async def scenario() -> None:
        config = demo_config(stop={"mean_return": None, "max_rounds": ROUNDS, "linger_s": 30.0})
        async with NodeSwarm(9, seed=5, config=config, profile=profile, folder=tmp_path) as swarm:
            await swarm.start_spread()
            await swarm.until_round(4)
            swarm.crash(3)
            await trio.sleep(3.0)
            swarm.start(3)
            outcomes = await swarm.until_finished()
            assert check_finals(swarm.nodes) > 0
            assert len({outcome.tip.model for outcome in outcomes}) == 1
            assert len(outcomes[0].tip.groups) == 3
            rounds = swarm.journal(0)
            assert [each.number for each in rounds] == list(range(1, ROUNDS + 1))
            assert max(len(each.env_steps) for each in rounds) == 9

    play(5, scenario)
