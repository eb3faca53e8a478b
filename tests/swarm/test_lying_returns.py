"""Members that claim to have measured the goal: fewer than half of the roster end no run (docs/adr/0006)."""

import msgspec
import numpy as np
import pytest

from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds.entry import Entry
from peer.rounds.manifest import STOP_RETURN, build_manifest, outcome_of
from peer.rounds.rules import RoundRules
from peer.types import ModelDelta, Moments
from peer.wire.envelope import Signed, seal
from peer.wire.hashing import digest_of
from peer.wire.messages import DeltaHeader
from tests.swarm.machine_swarm import RUN, MachineSwarm, first_entry
from tests.swarm.swarm_member import Member

GOAL = 500.0
RULES = RoundRules(stop_return=GOAL)
DELTA = ModelDelta(params=np.full(6, 1e-3, np.float32), moments=Moments.empty(2))
PAYLOAD = CODECS["float32"].encode(DELTA)


class BeginnersSwarm(MachineSwarm):
    """Peers that measure a return far from the goal."""

    def eval_return(self, member: Member) -> float | None:
        return 20.0


def header(tip: Entry, author: Identity, value: float | None) -> Signed[DeltaHeader]:
    body = DeltaHeader(
        round=tip.round + 1, base=tip.digest, sequence=1 << 40, payload=digest_of(PAYLOAD), payload_bytes=len(PAYLOAD),
        codec="float32", env_steps=5, weight=5, steps_per_s=100, l2_norm=1e-3 * 6**0.5, approx_kl=0.0,
        mean_return=None, eval_return=value, tasks=(),
    )  # fmt: skip
    return seal(body, author, run=RUN)


def stop_of(tip: Entry, returns: dict[int, float | None], *, rules: RoundRules = RULES) -> str:
    """Return how the round after `tip` ends the run, when the peers of these numbers have measured this."""
    headers = [header(tip, Identity.for_tests(number + 1), value) for number, value in returns.items()]
    return outcome_of(tip, sorted(headers, key=lambda signed: signed.peer), rules).stop


@pytest.fixture(scope="module")
def tip_of_five() -> Entry:
    swarm = MachineSwarm(5, seed=4)
    swarm.run(15.3)
    tip = swarm.members[0].machine.tip
    assert len(tip.members) == 5
    return tip


@pytest.mark.parametrize(
    ("returns", "stop"),
    [
        ({0: GOAL}, ""),
        ({0: GOAL, 1: 1e9}, ""),
        ({0: GOAL, 1: GOAL, 2: 499.0, 3: None, 4: 20.0}, ""),
        ({0: GOAL, 1: GOAL, 2: GOAL}, STOP_RETURN),
        ({0: GOAL, 1: GOAL, 2: GOAL, 3: 20.0, 4: None}, STOP_RETURN),
        ({0: GOAL, 1: GOAL, 7: GOAL, 8: GOAL}, ""),
    ],
    ids=["one alone", "two of five", "too few", "three of five", "against liars", "with strangers"],
)
def test_run_ends_when_more_than_half_of_the_roster_before_measured_the_goal(
    tip_of_five: Entry, returns: dict[int, float | None], stop: str
) -> None:
    assert stop_of(tip_of_five, returns) == stop


def test_first_round_never_ends_a_run_by_return_and_the_second_does() -> None:
    first = first_entry()
    assert stop_of(first, {0: GOAL, 1: GOAL, 2: GOAL}) == ""
    assert stop_of(first, {0: GOAL}, rules=RoundRules(stop_return=GOAL, stop_rounds=1)) == "rounds"


@pytest.mark.parametrize("size", [1, 3])
def test_run_whose_goal_is_reached_from_the_start_ends_with_round_two(size: int) -> None:
    swarm = BeginnersSwarm(size, seed=1, rules=RoundRules(stop_return=10.0))
    swarm.run(20.0)
    assert {(member.machine.tip.round, member.machine.tip.stop) for member in swarm.members} == {(2, STOP_RETURN)}


def test_one_member_that_seals_its_own_lie_ends_no_run() -> None:
    swarm = BeginnersSwarm(9, seed=4, rules=RULES)
    swarm.run(25.3)
    liar, tip = Identity.for_tests(9), swarm.members[0].machine.tip
    lie = header(tip, liar, 1e9)
    outcome = outcome_of(tip, [lie], RULES)
    body = build_manifest(tip, [lie], sealer=liar.peer_id, rejected=(), outcome=outcome, model=tip.model, parts=b"")
    for claimed in (body, msgspec.structs.replace(body, stop=STOP_RETURN)):
        for member in swarm.members:
            machine = member.machine
            machine.receive(lie.data, payload=PAYLOAD, source=liar.peer_id, now=swarm.clock(member))
            forged = seal(claimed, liar, run=RUN)
            machine.receive(forged.data, payload=None, source=liar.peer_id, now=swarm.clock(member))
    before = tip.round
    swarm.run(20.0)
    assert not any(member.machine.finished for member in swarm.members)
    assert swarm.agreed_round() > before + 3
