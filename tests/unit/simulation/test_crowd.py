"""More peers in reach than a flat manifest has room for, as before anybody is on the roster: who announces, who votes,
and that nobody's work is lost (docs/adr/0029). Rules that know no groups keep the swarm there."""

from collections import defaultdict

import pytest

from peer.aggregation.step import aggregator
from peer.rounds.roster import seal_order
from peer.rounds.rules import RoundRules
from peer.simulation.arguments import ended
from peer.simulation.attacks.attack import Letter
from peer.simulation.outcome import result_of
from peer.simulation.peer_life import PeerLife
from peer.simulation.scenario import Scenario
from peer.simulation.swarm import RUN, Swarm
from peer.simulation.toy import ToySubject
from peer.types import PeerId
from peer.wire.envelope import open_envelope
from peer.wire.limits import MAX_ADMITTED
from peer.wire.messages import Ack, DeltaHeader

PEERS = 80


class Said:
    """Who announced on which base, and who voted for which manifest of which parent."""

    def __init__(self, swarm: Swarm) -> None:
        self.announced: dict[bytes, set[PeerId]] = defaultdict(set)
        self.voted: dict[bytes, set[PeerId]] = defaultdict(set)
        self._pass_on = swarm.courier._gossip
        swarm.courier._gossip = self._listen  # type: ignore[method-assign]  # a wire tap

    def _listen(self, peer: PeerLife, letter: Letter) -> None:
        message = open_envelope(letter.envelope, run=RUN, verify=lambda *_: True).message
        if isinstance(message, DeltaHeader):
            self.announced[message.base].add(peer.peer_id)
        if isinstance(message, Ack):
            self.voted[message.previous].add(peer.peer_id)
        self._pass_on(peer, letter)


@pytest.fixture(scope="module")
def crowd() -> tuple[Swarm, Said]:
    scenario = ended(Scenario(peers=PEERS, rounds=6, seed=2, latency_s=0.02, rules=RoundRules(flat_peers=128)))
    swarm = Swarm(scenario, ToySubject(seed=1, num_params=4), aggregator("clipped-mean"))
    said = Said(swarm)
    swarm.run()
    return swarm, said


def test_crowd_agrees_and_fills_every_round(crowd: tuple[Swarm, Said]) -> None:
    swarm, _ = crowd
    result = result_of(swarm)
    assert result.is_sound, result.text()
    assert [sealed.admitted for sealed in result.chain[1:]] == [MAX_ADMITTED] * 5


def test_only_those_drawn_by_the_last_digest_announce(crowd: tuple[Swarm, Said]) -> None:
    swarm, said = crowd
    everybody = [peer.peer_id for peer in swarm.peers]
    line = swarm.peers[0].machine.line()
    for entry in line[1:-1]:
        drawn = set(seal_order(entry.digest, everybody)[:MAX_ADMITTED])
        assert said.announced[entry.digest] == drawn
        assert len(drawn) < PEERS


def test_only_those_whose_votes_can_decide_vote(crowd: tuple[Swarm, Said]) -> None:
    swarm, said = crowd
    line = swarm.peers[0].machine.line()
    outsiders = 0
    for entry in line[1:-1]:
        assert said.voted[entry.digest] <= entry.members
        outsiders += PEERS - len(entry.members)
    assert outsiders > 0, "some were left out in some round"


def test_work_of_a_round_without_being_drawn_counts_in_a_later_one(crowd: tuple[Swarm, Said]) -> None:
    swarm, said = crowd
    entry = swarm.peers[0].machine.line()[-2]
    came_later = [header for header in swarm.peers[0].tip.headers if header.peer not in said.announced[entry.parent]]
    assert came_later, "nobody was left out of one round and drawn for the next: choose another seed"
    for header in came_later:
        assert header.message.sequence >= entry.held_of(header.peer) + 2, "it stands for two stretches of work"
    assert max(header.message.env_steps for header in came_later) > 2500, "a round has 1,000 env steps a second"
