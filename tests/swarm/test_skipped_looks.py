"""A machine looks at branches, seals and payloads only when something calls for it. What it skips must change nothing:
a swarm whose machines look after every message lives the same life."""

from unittest.mock import patch

import pytest

from peer.rounds.machine import RoundMachine
from peer.rounds.rules import RoundRules
from peer.types import Digest
from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.swarm_member import Faults, nothing_blocked

FLAT = RoundRules()
GROUPS = RoundRules(flat_peers=3, group_peers=3)


def life(seed: int, rules: RoundRules) -> list[tuple[Digest, int, int, int]]:
    """Return what became of nine peers that lose messages and are cut in two for a while.

    In groups, seeds 10 and 13 bring seals whose payload is found by judging them.
    """
    faults = Faults(loss=0.2, latency_s=0.3)
    swarm = MachineSwarm(9, seed=seed, rules=rules, faults=faults)
    swarm.run(12.0)
    faults.blocked = lambda one, other: (one < 4) != (other < 4)
    swarm.run(8.0)
    faults.blocked = nothing_blocked
    swarm.run(16.0)
    return [(each.machine.tip.digest, each.machine.final_round, each.switched, each.bits) for each in swarm.members]


@pytest.mark.parametrize("rules", [FLAT, GROUPS], ids=["flat", "groups"])
@pytest.mark.parametrize("seed", [2, 10, 13])
def test_a_swarm_that_looks_after_every_message_lives_the_same_life(seed: int, rules: RoundRules) -> None:
    usual = life(seed, rules)
    assert any(switched for _, _, switched, _ in usual), "there were branches to choose from"
    with patch.object(RoundMachine, "_is_settled", lambda *_: False):
        assert life(seed, rules) == usual
