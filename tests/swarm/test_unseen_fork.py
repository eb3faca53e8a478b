"""A peer that is on nobody's roster builds on a chain and goes its own way: nobody misses it, and none of the work that
the two chains share, or do not, is lost when they meet (docs/adr/0059)."""

from peer.rounds.effects import OpenRound
from peer.types import Digest
from tests.swarm.judgement import assert_each_piece_once
from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.swarm_member import Faults, Member, nothing_blocked


def meet_again(swarm: MachineSwarm, *, loser: int) -> None:
    """Let all links be cut for long, the loser fall behind in the end, and mend them."""
    swarm.rewire(lambda _a, _b: True)
    swarm.run(24.0)
    swarm.pause(loser, 20.0)
    swarm.run(20.0)
    swarm.rewire(nothing_blocked)
    swarm.run(12.0)


def test_work_after_a_first_round_that_only_another_chain_counts_is_not_lost() -> None:
    """Both are connected and no message passes, but one: peer 0 seals the first work of both, and peer 1 its own."""
    swarm = MachineSwarm(2, seed=1, faults=Faults(loss=1.0))
    one, other = swarm.members[0], swarm.members[1]
    genesis = other.machine.tip
    while not (headers := other.machine._ledger.pool.on_base(genesis.digest)):
        swarm.run(0.1)
    assert one.machine.tip.round == 0
    payload = other.machine.blob(Digest(headers[0].message.payload))
    one.machine.receive(headers[0].data, payload=payload, source=other.identity.peer_id, now=swarm.now)
    swarm.run(8.0)
    assert one.machine.tip.held_of(other.identity.peer_id) > 0
    assert other.machine.tip.members == {other.identity.peer_id}

    swarm.faults.loss = 0.0
    meet_again(swarm, loser=1)
    assert [left.round > 10 for left in other.abandoned] == [True], "its own chain was replaced after long"
    assert swarm.tips() == {one.machine.tip.digest}
    assert_each_piece_once(swarm)


def test_work_before_a_newcomer_took_over_the_state_and_left_is_told_from_that_after_it() -> None:
    """Peer 1 takes over the state of peer 0 and is gone before any round counts it."""
    swarm = MachineSwarm(2, seed=1, late=1)
    swarm.run(16.0)
    swarm.start(1)
    one, other = swarm.members[0], swarm.members[1]
    while not other.abandoned:
        swarm.run(0.02)
    taken = other.machine.tip
    assert taken.members == {one.identity.peer_id}

    meet_again(swarm, loser=0)
    assert [left.round > taken.round + 8 for left in one.abandoned] == [True], "its chain was replaced after long"
    assert swarm.tips() == {one.machine.tip.digest}
    assert_each_piece_once(swarm)


class SwarmWithSpectator(MachineSwarm):
    """Peer 1 trains only when it is told to."""

    opened: OpenRound | None = None
    is_idle = True

    def _train(self, member: Member, effect: OpenRound) -> None:
        if member.number == 1 and self.is_idle:
            self.opened = effect
        else:
            super()._train(member, effect)

    def begin(self) -> None:
        self.is_idle = False
        if self.opened is not None:
            self._train(self.members[1], self.opened)


def test_work_before_a_spectator_went_its_own_way_is_told_from_that_after_it() -> None:
    """Peer 1 follows peer 0 without contributing; then no message passes, although both stay connected."""
    swarm = SwarmWithSpectator(2, seed=1, late=1)
    swarm.run(10.0)
    swarm.start(1)
    swarm.run(16.0)
    one, other = swarm.members[0], swarm.members[1]
    shared = other.machine.tip
    assert shared.members == {one.identity.peer_id}

    swarm.faults.loss = 1.0
    swarm.begin()
    swarm.run(24.0)
    swarm.pause(0, 36.0)
    swarm.run(36.0)
    swarm.faults.loss = 0.0
    swarm.run(12.0)
    assert [left.round > shared.round + 8 for left in one.abandoned] == [True], "its chain was replaced after long"
    assert swarm.tips() == {one.machine.tip.digest}
    assert_each_piece_once(swarm)
