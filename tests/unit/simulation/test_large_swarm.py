"""Above 48 peers rounds are sealed in groups: everybody's work counts, and a peer's traffic hardly grows."""

import pytest

from peer.aggregation.step import aggregator
from peer.simulation.result import Result
from peer.simulation.run import simulate
from peer.simulation.scenario import Attackers, Scenario
from peer.simulation.toy import ToySubject

PEERS = 56


def simulated(**changes: object) -> Result:
    scenario = Scenario(peers=PEERS, rounds=5, seed=2, latency_s=0.02, num_params=4, **changes)  # type: ignore[arg-type]  # fields of Scenario
    return simulate(scenario, subject=ToySubject(seed=1, num_params=4), aggregate=aggregator("clipped-mean"))


@pytest.fixture(scope="module")
def result() -> Result:
    return simulated()


def test_everybody_counts_in_every_round_once_all_are_on_the_roster(result: Result) -> None:
    assert result.is_sound, result.text()
    assert [sealed.admitted for sealed in result.chain[2:]] == [PEERS] * 3


def test_the_same_seed_gives_the_same_run(result: Result) -> None:
    assert simulated().json() == result.json()


@pytest.mark.parametrize("kind", ["sign_flip", "equivocate"])
def test_liars_split_nobody_from_the_rest(kind: str) -> None:
    result = simulated(byzantine=(Attackers(share=0.1, kind=kind),), loss=0.02)
    assert result.is_sound, result.text()
