"""What must hold in any swarm after its faults, whatever they were."""

from peer.wire.hashing import model_hash
from tests.swarm.machine_swarm import MachineSwarm


def assert_caught_up(swarm: MachineSwarm) -> None:
    """After 20 calm seconds all are on one chain: only the round in flight may differ, and finality follows."""
    top = max(member.machine.tip.round for member in swarm.alive)
    assert swarm.agreed_round() >= top - 2
    assert min(member.machine.final_round for member in swarm.alive) >= top - 3
    assert top >= 8, "the swarm went on through all faults"
    assert_states_are_tips(swarm)


def assert_states_are_tips(swarm: MachineSwarm) -> None:
    """Whoever is at a tip holds the model that its manifest names."""
    for member in swarm.alive:
        state = member.machine.tip.state
        assert state is not None
        assert model_hash(state) == member.machine.tip.model


def assert_each_piece_once(swarm: MachineSwarm) -> None:
    """No stretch of training counts twice on any live peer's chain; of peers that never died, none is lost.

    Whatever chains they were on in between: each stretch is in the common chain, or on its way to it. A peer may give
    work up, and says so then, only for a chain that has forgotten some who left it.
    """
    for member in swarm.alive:
        counted = swarm.counted(member.machine.tip)
        if member.life == 1:
            pending = sum(piece.env_steps for piece in member.machine._ledger.own.unadmitted())
            made = (1 << member.bits) - 1
            lost = made - counted.get(member.number, 0) - pending
            assert 0 <= lost <= member.dropped_steps
            assert member.dropped_steps == 0 or member.has_been_forgotten


def assert_nobody_blamed(swarm: MachineSwarm) -> None:
    """Honest peers never refuse each other's messages, and never compute different models."""
    for member in swarm.members:
        assert [(refused.reason, refused.detail) for refused in member.refused] == []
        assert not member.differs


def assert_bounded(swarm: MachineSwarm) -> None:
    """The window, not the length of the run, decides how much a machine holds."""
    history, peers = swarm.rules.history, len(swarm.members)
    for member in swarm.alive:
        ledger = member.machine._ledger
        rounds = history + 2
        assert len(ledger.chain) <= rounds * (peers + 1)
        assert len(ledger.votes) <= (rounds + 8) * peers
        assert len(ledger.payloads) <= (rounds + 16) * peers * 2
        assert len(ledger.own.deltas) <= 64
