"""Above 48 peers rounds are sealed in groups: everybody's work counts, and a peer's traffic hardly grows."""

from collections import Counter
from unittest.mock import patch

import pytest

from peer.aggregation.step import aggregator
from peer.rounds.machine import RoundMachine
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


def test_many_letters_wake_no_look_and_a_look_after_each_would_find_nothing_more() -> None:
    harsh = {"loss": 0.05, "churn": 0.5}
    asked, rest = Counter[bool](), RoundMachine._may_rest

    def counted(machine: RoundMachine, now: float) -> bool:
        answer = rest(machine, now)
        asked[answer] += 1
        return answer

    with patch.object(RoundMachine, "_may_rest", counted):
        usual = simulated(**harsh)
    assert 4 * asked[True] > asked.total(), "letters and exchanges after which a machine rested, and all"
    with patch.object(RoundMachine, "_may_rest", lambda *_: False):
        assert simulated(**harsh).json() == usual.json()
