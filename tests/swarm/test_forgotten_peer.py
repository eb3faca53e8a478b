"""More have left than a chain names: who is forgotten, stays on the chain and comes back brings no work twice."""

import pytest

from peer.rounds import departed
from tests.swarm.judgement import assert_each_piece_once
from tests.swarm.machine_swarm import MachineSwarm


def test_a_peer_that_its_chain_has_forgotten_brings_only_what_the_chain_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who has left is named here. The one that slept replays what it missed, and so keeps its chain."""
    monkeypatch.setattr(departed, "MAX_DEPARTED", 0)
    swarm = MachineSwarm(5, seed=3)
    swarm.run(12.0)
    sleeper = swarm.members[4]
    slept_at = sleeper.machine.tip
    swarm.pause(4, 12.0)
    swarm.run(11.0)
    awake = swarm.members[0].machine.tip
    assert slept_at.held_of(sleeper.identity.peer_id) > 0 == awake.held_of(sleeper.identity.peer_id)
    swarm.run(30.0)
    tip = swarm.members[0].machine.tip
    assert tip.held_of(sleeper.identity.peer_id) > 0, "it is back"
    assert_each_piece_once(swarm)
