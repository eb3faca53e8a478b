"""A branch that a majority has decided is followed whatever its score: its payloads must be pulled (docs/adr/0048)."""

from peer.rounds.effects import FetchPayload
from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.swarm_member import nothing_blocked


def test_payloads_of_a_decided_branch_are_pulled_although_its_score_is_lower() -> None:
    """Three of five decide one round and then freeze; the other two have sealed more deltas without them by then."""
    swarm = MachineSwarm(5, seed=1)
    swarm.run(10.0)
    swarm.rewire(lambda a, b: (a < 2) != (b < 2))
    before = swarm.members[2].machine.tip
    while swarm.members[2].machine.final_round <= before.round:
        swarm.run(0.1)
    decided = swarm.members[2].machine
    for number in (2, 3, 4):
        swarm.crash(number)
    swarm.run(12.0)
    lonely = swarm.members[0].machine
    assert decided.tip.score < lonely.tip.score

    swarm.rewire(nothing_blocked)
    response = decided.answer_sync(lonely.sync_request())
    effects = lonely.receive_sync(response, source=swarm.members[2].identity.peer_id, now=swarm.now)
    pulled = {effect.payload for effect in effects if isinstance(effect, FetchPayload)}
    assert {header.message.payload for header in decided.tip.headers} <= pulled
