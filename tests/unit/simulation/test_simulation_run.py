"""Whole simulated runs: reproducible, sound under faults and liars, and judged by something that can fail."""

import json
from dataclasses import replace

import numpy as np
import pytest

from peer.aggregation.step import aggregator
from peer.rounds.effects import Finalised
from peer.simulation.arguments import command, ended, parse_byzantine, parse_partition
from peer.simulation.attacks.registry import ATTACKS
from peer.simulation.judge import SETTLE_S
from peer.simulation.learner import Trained
from peer.simulation.outcome import result_of
from peer.simulation.run import simulate
from peer.simulation.scenario import Scenario
from peer.simulation.swarm import Swarm
from peer.simulation.toy import ToyLearner, ToySubject
from peer.types import ModelState

SMALL = Scenario(peers=8, rounds=8, seed=3, loss=0.02, latency_s=0.04)
REFUSED_FOR = {"forge": "bad_signature", "nan": "not_finite", "oversize": "oversize"}


def make_swarm(scenario: Scenario) -> Swarm:
    return Swarm(ended(scenario), ToySubject(seed=1, num_params=8), aggregator("clipped-mean"))


def test_run_of_the_same_seed_gives_the_same_bytes_and_of_another_does_not() -> None:
    scenario = replace(SMALL, churn=0.5, byzantine=(parse_byzantine("0.2:noise"),))
    first, again = simulate(scenario), simulate(scenario)
    assert first.text() == again.text()
    assert first.json() == again.json()
    assert simulate(replace(scenario, seed=4)).json() != first.json()


def test_json_of_a_run_has_exactly_the_promised_keys() -> None:
    found = json.loads(simulate(SMALL).json())
    assert list(found) == [
        "peers", "rounds_final", "divergent_rounds", "forks", "bytes_per_peer_per_round", "finality_s", "excluded",
        "trainings_diverged", "seed", "sound", "failures", "replay",
    ]  # fmt: skip
    assert list(found["finality_s"]) == ["median", "p99"]
    assert (found["peers"], found["rounds_final"], found["divergent_rounds"]) == (8, 8, 0)
    assert 0 < found["finality_s"]["median"] <= found["finality_s"]["p99"] < 10
    assert found["bytes_per_peer_per_round"] > 8 * 300
    assert found["excluded"] == found["failures"] == []
    assert (found["seed"], found["sound"], found["replay"]) == (SMALL.seed, True, command(SMALL))


def test_traffic_of_a_run_is_told_in_the_units_of_the_log() -> None:
    """It came in units of 1024 bytes, under the names of others."""
    result = replace(simulate(replace(SMALL, rounds=2)), bytes_per_peer_per_round=842_000)
    assert "  traffic     842 KB sent by each peer in a round\n" in result.text()


class Diverging(ToySubject):
    """Has one peer diverge in the second to fourth training of its life."""

    def __init__(self, kind: str, *, number: int) -> None:
        super().__init__(seed=1, num_params=8)
        self.kind = kind
        self.number = number

    def learner(self, number: int, life: int) -> ToyLearner:
        if number != self.number:
            return super().learner(number, life)
        return DivergingLearner(self, np.random.default_rng(number), self.kind)


class DivergingLearner(ToyLearner):
    def __init__(self, subject: ToySubject, rng: np.random.Generator, kind: str) -> None:
        super().__init__(subject, rng)
        self.kind = kind
        self.trained = 0

    def train(self, start: ModelState, *, train_s: float) -> Trained:
        trained = super().train(start, train_s=train_s)
        self.trained += 1
        if not 2 <= self.trained <= 4:
            return trained
        if self.kind == "raises":
            raise FloatingPointError
        params = np.full(8, {"nan": np.nan, "huge": 1e30}[self.kind], np.float32)
        return replace(trained, delta=replace(trained.delta, params=params))


@pytest.mark.parametrize("kind", ["raises", "nan", "huge"])
def test_peer_whose_training_diverges_discards_the_work_and_goes_on(kind: str) -> None:
    swarm = Swarm(ended(replace(SMALL, rounds=12)), Diverging(kind, number=2), aggregator("clipped-mean"))
    swarm.run()
    result = result_of(swarm)
    assert result.is_sound, result.text()
    assert result.trainings_diverged == json.loads(result.json())["trainings_diverged"] == 3
    assert "diverged    3 trainings ended in NaN" in result.text()
    assert result.excluded == (), "nothing bad ever left the peer"
    assert [sealed.admitted for sealed in result.chain][-5:] == [8] * 5


def test_training_of_liars_that_diverges_is_nobodys_loss() -> None:
    scenario = replace(SMALL, byzantine=(parse_byzantine("0.2:copycat"),))
    result = simulate(scenario, subject=Diverging("raises", number=7))
    assert result.is_sound, result.text()
    assert result.trainings_diverged == 0
    assert "diverged " not in result.text()


def test_calm_run_admits_everybody_and_learns() -> None:
    result = simulate(replace(SMALL, loss=0.0))
    assert result.is_sound
    assert result.admitted_mean == 8
    assert result.last_return > 2 * result.first_return
    assert result.forks == 0


@pytest.mark.parametrize("share", [0.1, 0.25])
@pytest.mark.parametrize("kind", ATTACKS)
def test_liars_neither_divide_nor_stop_the_honest(kind: str, share: float) -> None:
    result = simulate(replace(SMALL, byzantine=(parse_byzantine(f"{share}:{kind}"),)))
    assert result.is_sound, result.text()
    assert result.rounds_final >= SMALL.rounds - 1
    liars = {f"peer-{number}" for number, _ in result.scenario.attackers}
    assert set(result.excluded) <= liars
    if kind in REFUSED_FOR:
        assert set(result.excluded) == liars
        assert result.refused[REFUSED_FOR[kind]] > 0


def test_delta_that_nobody_can_pull_is_never_admitted() -> None:
    swarm = make_swarm(replace(SMALL, byzantine=(parse_byzantine("0.25:withhold"),)))
    swarm.run()
    liars = {swarm.peers[number].peer_id for number, _ in swarm.scenario.attackers}
    for peer in swarm.judge.honest():
        assert not {header.peer for entry in peer.machine.line() for header in entry.headers} & liars


def test_payload_that_is_pulled_from_a_liar_is_pulled_again_elsewhere() -> None:
    result = simulate(replace(SMALL, num_params=6000, byzantine=(parse_byzantine("0.25:corrupt"),)))
    assert result.is_sound, result.text()
    assert result.refused["payload_hash"] > 0
    assert result.excluded == ("peer-6", "peer-7")


def test_crashes_and_returns_leave_one_chain() -> None:
    result = simulate(replace(SMALL, peers=12, rounds=20, churn=1.5, loss=0.05))
    assert result.is_sound, result.text()
    assert result.admitted_mean < 12


@pytest.mark.parametrize("shares", ["0.5", "0.3/0.3"])
def test_partition_that_heals_ends_on_one_chain(shares: str) -> None:
    swarm = make_swarm(replace(SMALL, rounds=16, partitions=(parse_partition(f"6s-16s:{shares}"),)))
    swarm.run()
    result = result_of(swarm)
    assert result.is_sound, result.text()
    assert result.forks > 0, "both sides went on"
    assert len({peer.tip.digest for peer in swarm.judge.honest()}) == 1


def test_run_that_ends_while_the_network_is_cut_is_sound_and_says_so() -> None:
    result = simulate(replace(SMALL, rounds=10, partitions=(parse_partition("6s-60s:0.5"),)))
    assert result.forks > 0, "both sides went on"
    assert result.is_sound, result.text()
    assert "cut         6s-60s:0.5 healed after the end of the run: more --rounds show it" in result.text()


@pytest.mark.parametrize("seed", [3, 11])
def test_models_of_all_peers_are_the_same_bytes_at_the_end(seed: int) -> None:
    """Also when the honest are in two halves, and those who vote for both make each a majority (11)."""
    swarm = make_swarm(replace(SMALL, seed=seed, byzantine=(parse_byzantine("0.2:equivocate"),)))
    swarm.run()
    models = [peer.tip.state for peer in swarm.judge.honest()]
    assert all(model is not None for model in models)
    assert len({np.asarray(model.params).tobytes() for model in models if model is not None}) == 1


def test_judge_that_sees_two_models_final_for_one_round_says_so() -> None:
    swarm = make_swarm(SMALL)
    swarm.loop.run(until=12.0)
    peer, other = swarm.peers[0], swarm.peers[1]
    wrong = replace(other.tip, round=2)
    swarm.judge.observe(peer, Finalised(entry=wrong))
    swarm.judge.look()
    assert list(swarm.judge.divergent) == [2]
    assert "peer-0" in swarm.judge.divergent[2]
    assert not result_of(swarm).is_sound


def test_swarm_that_cannot_come_to_the_last_round_fails_with_the_command_that_replays_it() -> None:
    swarm = make_swarm(replace(SMALL, rounds=4))
    swarm.loop.run(until=5.0)
    swarm.crash(1, keeps_disk=False)
    swarm.cut(parse_partition("5s-9s:0.5"))
    swarm.loop.run(until=6.0)
    result = result_of(swarm)
    assert not result.is_sound
    assert "FAILED      7 of 7 honest peers had no final round 3 after 6 s" in result.text()
    assert "replay:     murmur simulate --peers 8 --rounds 4 --loss 0.02 --latency 40ms --seed 3" in result.text()


def test_peer_that_came_back_a_moment_before_the_end_is_no_failure_and_one_that_stays_behind_is() -> None:
    swarm = make_swarm(SMALL)
    swarm.run()
    swarm.crash(1, keeps_disk=False)
    swarm.start(1)
    assert swarm.peers[1].tip.round == 0
    assert result_of(swarm).is_sound
    swarm.peers[1].started_at -= SETTLE_S
    assert "1 of 8 honest peers had no final round 7" in result_of(swarm).text()
