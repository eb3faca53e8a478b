"""A member that says it is on another chain, for ever and to everybody (docs/adr/0070)."""

from functools import partial

import pytest

from peer.rounds.machine import RoundMachine
from peer.rounds.rules import RoundRules
from peer.wire.sync import SnapshotOffer, SyncRequest, SyncResponse, Tip
from tests.swarm.machine_swarm import MachineSwarm

ROUNDS_TO_COME_OVER = 2 * RoundRules().history


def swarm_with_liars(size: int, *, bad: int = 1, seed: int, monkeypatch: pytest.MonkeyPatch) -> MachineSwarm:
    """Run a swarm whose last members take part as all do, but claim a chain of their own whenever they are asked."""
    swarm = MachineSwarm(size, seed=seed)
    swarm.run(20.0)
    for member in swarm.members[size - bad :]:
        monkeypatch.setattr(member.machine, "answer_sync", partial(lie, member.machine))
    return swarm


def lie(liar: RoundMachine, asked: SyncRequest, *, source: object = None) -> SyncResponse:
    tip = Tip(b"x" * 32, liar.tip.round, max(0, liar.tip.score - 1))
    return SyncResponse(tip=tip, messages=(), snapshot=SnapshotOffer(tip, b"y" * 32, 4096))


def lags(swarm: MachineSwarm, *, honest: int) -> list[int]:
    """Return how many rounds each honest peer's finality is behind its tip."""
    return [member.machine.tip.round - member.machine.final_round for member in swarm.members[:honest]]


@pytest.mark.parametrize(("size", "bad", "seed"), [(6, 1, 0), (6, 1, 1), (6, 1, 2), (4, 1, 0), (7, 2, 0)])
def test_fewer_than_a_third_hold_finality_up_for_two_windows_at_most(
    size: int, bad: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = swarm_with_liars(size, bad=bad, seed=seed, monkeypatch=monkeypatch)
    honest = size - bad
    before = swarm.members[0].machine.tip.round
    swarm.run(10.0)
    assert max(lags(swarm, honest=honest)) > 3, "it is believed at first"
    swarm.run(60.0)
    assert swarm.members[0].machine.tip.round > before + ROUNDS_TO_COME_OVER
    assert max(lags(swarm, honest=honest)) <= 2
    assert swarm.conflicts == []


def test_one_of_three_is_no_minority_that_finality_may_go_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = swarm_with_liars(3, seed=0, monkeypatch=monkeypatch)
    swarm.run(70.0)
    assert max(lags(swarm, honest=2)) > 3
