"""What a peer has announced, and nobody has any more."""

from peer.rounds.effects import Publish
from peer.wire.messages import decode_announcement
from tests.swarm.machine_swarm import MachineSwarm


def test_own_header_that_was_lost_is_announced_again() -> None:
    swarm = MachineSwarm(3, seed=4)
    swarm.run(15.3)
    machine = swarm.members[0].machine
    while machine._ledger.me not in machine._ledger.pool.peers_on(machine.tip.digest):
        swarm.run(0.01)
    [own] = [held for held in machine._ledger.pool.on_base(machine.tip.digest) if held.peer == machine._ledger.me]
    machine._ledger.pool.forget(keep=())
    [published] = [effect for effect in machine.tick(swarm.now) if isinstance(effect, Publish)]
    assert decode_announcement(published.data).envelope == own.data
    assert machine._ledger.me in machine._ledger.candidate_peers()
    assert not [effect for effect in machine.tick(swarm.now) if isinstance(effect, Publish)]
