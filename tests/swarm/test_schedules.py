"""Hundreds of seeded lives of a swarm under faults, and what must hold in every one of them.

Claim on finality (docs/adr/0003): two peers that have been connected and awake for 8 s never hold different models for
a round that both hold as final, unless a link between any peers was cut or mended in the last 8 s (20 s when messages
are lost and processes freeze too). It is checked every second of every schedule, at up to 30 % loss and with latencies
above the backup gap.
"""

from collections.abc import Sequence

import pytest

from tests.swarm.judgement import assert_bounded, assert_caught_up, assert_each_piece_once, assert_nobody_blamed
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


@pytest.mark.usefixtures("sha256_names")
@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_schedule_any_faults_swarm_agrees_and_counts_each_piece_once(kind: str, seed: int) -> None:
    swarm = run_schedule(seed, KINDS[kind])

    assert swarm.conflicts == []
    assert_caught_up(swarm)
    assert_each_piece_once(swarm)
    assert_nobody_blamed(swarm)
    assert_bounded(swarm)
