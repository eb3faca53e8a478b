"""An hour of peers that train at full CPU: nobody is suspected; and the dead are, all the same."""

import pytest

from peer.membership.effects import Died, Suspected
from tests.unit.membership.busy_swarm import BusySwarm, Stalls

BUSY = Stalls(every_s=2.0, median_s=0.05, sigma=1.1, longest_s=3.0)
"""Harsher than measured (docs/adr/0043: timers 0.16 s late at the 99th percentile, 0.45 s at worst). Here a process is
held up every 2 s, one time in fourteen for over 0.25 s, and for up to 3 s."""


def test_an_hour_at_full_cpu_suspects_nobody() -> None:
    swarm = BusySwarm(8, stalls=BUSY, seed=20260101)
    swarm.run(3600.0)
    assert swarm.verdicts == []


@pytest.mark.parametrize("seed", range(5))
def test_a_peer_that_dies_among_busy_ones_is_suspected_by_all_and_given_up(seed: int) -> None:
    swarm = BusySwarm(8, stalls=BUSY, seed=seed)
    swarm.run(30.0)
    victim = swarm.peers[seed]
    swarm.dead.add(victim)
    swarm.run(12.0)
    gone = {me for _, me, verdict in swarm.verdicts if isinstance(verdict, Died)}
    assert gone == set(swarm.peers) - {victim}
    assert {verdict.peer for _, _, verdict in swarm.verdicts if isinstance(verdict, Died | Suspected)} == {victim}
    first = min(at for at, _, verdict in swarm.verdicts if isinstance(verdict, Suspected))
    assert first - 30.0 <= 8.0
