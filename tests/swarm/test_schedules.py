"""Hundreds of seeded lives of a swarm under faults, and what must hold in every one of them.

Claim on finality (docs/adr/0003): two peers that have been connected and awake for 8 s never hold different models for
a round that both hold as final, unless a link between any peers was cut or mended in the last 8 s (20 s when messages
are lost and processes freeze too). It is checked every second of every schedule, at up to 30 % loss and with latencies
above the backup gap.
"""

from collections.abc import Sequence

import pytest

from peer.wire.hashing import model_hash
from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.schedules import run_schedule

KINDS: dict[str, frozenset[str]] = {
    "calm": frozenset(),
    "loss": frozenset({"loss"}),
    "crash": frozenset({"loss", "late", "crash"}),
    "pause": frozenset({"loss", "pause"}),
    "cut": frozenset({"cut"}),
    "everything": frozenset({"loss", "late", "crash", "pause", "cut"}),
}
SEEDS: dict[str, Sequence[int]] = {
    "calm": range(10),
    "loss": range(50),
    "crash": range(60),
    "pause": range(30),
    "cut": range(50),
    "everything": (*range(50), 5174),
}
CASES = [pytest.param(kind, seed, id=f"{kind}-{seed}") for kind, seeds in SEEDS.items() for seed in seeds]


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_schedule_any_faults_swarm_agrees_and_counts_each_piece_once(kind: str, seed: int) -> None:
    swarm = run_schedule(seed, KINDS[kind])

    assert swarm.conflicts == []
    assert_caught_up(swarm)
    assert_each_piece_once(swarm)
    assert_nobody_blamed(swarm)
    assert_bounded(swarm)


def assert_caught_up(swarm: MachineSwarm) -> None:
    """After 20 calm seconds all are on one chain: only the round in flight may differ, and finality follows."""
    top = max(member.machine.tip.round for member in swarm.alive)
    assert swarm.agreed_round() >= top - 2
    assert min(member.machine.final_round for member in swarm.alive) >= top - 3
    assert top >= 8, "the swarm went on through all faults"
    for member in swarm.alive:
        state = member.machine.tip.state
        assert state is not None
        assert model_hash(state) == member.machine.tip.model


def assert_each_piece_once(swarm: MachineSwarm) -> None:
    """No stretch of training counts twice on any live peer's chain; of peers that never died, none is lost unreported.

    Reported are pieces given up (`PieceDropped`) and what a chain counted that was left for a snapshot.
    """
    for member in swarm.alive:
        counted = swarm.counted(member.machine.tip)
        if member.life == 1:
            pending = sum(piece.env_steps for piece in member.machine._ledger.unadmitted_pieces().values())
            reported = member.dropped_steps
            for tip in member.abandoned:
                reported |= swarm.counted(tip).get(member.number, 0)
            made = (1 << member.bits) - 1
            assert counted.get(member.number, 0) | pending | reported == made
            assert counted.get(member.number, 0) & pending == 0


def assert_nobody_blamed(swarm: MachineSwarm) -> None:
    """Honest peers never refuse each other's messages, and never compute different models."""
    for member in swarm.members:
        assert [(refused.reason, refused.detail) for refused in member.refused] == []
        assert member.differs == 0


def assert_bounded(swarm: MachineSwarm) -> None:
    """The window, not the length of the run, decides how much a machine holds."""
    history, peers = swarm.rules.history, len(swarm.members)
    for member in swarm.alive:
        ledger = member.machine._ledger
        rounds = history + 2
        assert len(ledger.chain) <= rounds * (peers + 1)
        assert len(ledger.votes) <= (rounds + 8) * peers
        assert len(ledger.payloads) <= (rounds + 16) * peers * 2
