"""A member that says it is on another chain, for ever and to everybody (docs/adr/0070)."""

import pytest

from peer.rounds.machine import RoundMachine
from peer.rounds.rules import RoundRules
from peer.wire.sync import SnapshotOffer, SyncRequest, SyncResponse, Tip
from tests.swarm.machine_swarm import MachineSwarm

ROUNDS_TO_COME_OVER = 2 * RoundRules().history


def swarm_with_a_liar(size: int, *, seed: int, monkeypatch: pytest.MonkeyPatch) -> MachineSwarm:
    """Run a swarm whose last member takes part as all do, but claims a chain of its own whenever it is asked."""
    swarm = MachineSwarm(size, seed=seed)
    swarm.run(20.0)
    liar = swarm.members[-1].machine

    def lie(asked: SyncRequest, *, source: object = None) -> SyncResponse:
        tip = Tip(b"x" * 32, liar.tip.round, max(0, liar.tip.score - 1))
        return SyncResponse(tip=tip, messages=(), snapshot=SnapshotOffer(tip, b"y" * 32, 4096))

    monkeypatch.setattr(liar, "answer_sync", lie)
    return swarm


def lags(swarm: MachineSwarm) -> list[int]:
    """Return how many rounds each honest peer's finality is behind its tip."""
    honest: list[RoundMachine] = [member.machine for member in swarm.members[:-1]]
    return [machine.tip.round - machine.final_round for machine in honest]


@pytest.mark.parametrize("seed", range(3))
def test_one_of_six_holds_finality_up_for_two_windows_at_most(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = swarm_with_a_liar(6, seed=seed, monkeypatch=monkeypatch)
    before = swarm.members[0].machine.tip.round
    swarm.run(10.0)
    assert max(lags(swarm)) > 3, "it is believed at first"
    swarm.run(60.0)
    assert swarm.members[0].machine.tip.round > before + ROUNDS_TO_COME_OVER
    assert max(lags(swarm)) <= 2
    assert swarm.conflicts == []


def test_one_of_four_is_no_minority_that_finality_may_go_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = swarm_with_a_liar(4, seed=0, monkeypatch=monkeypatch)
    swarm.run(70.0)
    assert max(lags(swarm)) > 3
