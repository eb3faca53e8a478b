"""The quick part of the torture: a few seeded lives under every trouble (`make torture` for the long part)."""

import random
from functools import partial

import pytest

from peer.rounds.merging import BY_MAJORITY, BY_SCORE
from peer.rounds.voting import Voter
from tests.swarm.calm import assert_one_again, live_through_calm
from tests.swarm.judgement import assert_caught_up, assert_each_piece_once, assert_nobody_blamed
from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.nemesis import MORE_PLANS, PLANS
from tests.swarm.swarm_member import Faults
from tests.swarm.torture import describe, judge

QUICK = (2, 3, 5, 36, 58, 91, 119, 274, 440, 402762, 900770)
"""58: work that is brought along a second time, once taken for forgotten. 36, 274: chains that share no ancestor in the
window, of which both became final (adr/0048). 91: three branches, each better than the one before, for ever. 119: a
round that all had left, also the peer that finds it on its disk after a restart, was final there (adr/0054). 440: late
work that was summed up with what the other side of a partition held already. 402762:
peers that went back to the past of their own chain, whose roster was larger (adr/0069). 900770: a peer that left for
another chain by a snapshot, and took those who stayed for being there, too (adr/0072)."""

SCATTERED = (
    *((seed, False) for seed in (5000041, 5000147, 5000385, 5000519, 5000927, 5400086)),
    *((seed, True) for seed in (5100075, 5100207, 5100348, 5100475, 6151447)),
)
"""Peers that were sent from piece to piece by votes of peers that had left, or that a few kept away (adr/0079).
6151447: one that changed branches, and held the new one as final before those it had left could know (adr/0084)."""

MOVED_ON = (*((seed, False) for seed in (6061031, 6062618, 6063466, 6066765)), (6191223, True))
"""Peers that stayed with a branch of their own for four to six rounds, as those who had gone over were thought to stand
behind it, too (adr/0085)."""

SLOW_SEEDS = (69, 100, 104, 112)
"""Of 150 such lives, those in which a roster that had shrunk beside the others made its own branch final (adr/0037)."""


def slow_life(seed: int) -> MachineSwarm:
    """Run a minute of a small swarm whose messages take 0.5 to 2 s, with lost ones and other troubles."""
    rng = random.Random(f"slow {seed}")
    faults = Faults(loss=rng.choice([0.0, 0.05, 0.15, 0.3]), latency_s=1.0)
    swarm = MachineSwarm(rng.randint(2, 6), seed=seed, faults=faults)
    swarm.watch.settle_s = swarm.watch.heal_s = 20.0
    for name in rng.sample(sorted(PLANS), rng.randint(1, 3)):
        PLANS[name](swarm, rng)
    swarm.run(60.0)
    return swarm


@pytest.mark.usefixtures("sha256_names")
@pytest.mark.parametrize("merge", [BY_MAJORITY, BY_SCORE])
@pytest.mark.parametrize("seed", QUICK)
def test_a_tormented_swarm_ends_in_agreement_with_all_work_counted_once(seed: int, merge: str) -> None:
    verdict = judge(seed, merge=merge)
    assert not verdict.failure, describe(verdict)


@pytest.mark.parametrize(("seed", "groups"), SCATTERED)
def test_so_does_one_that_was_in_many_pieces(seed: int, *, groups: bool) -> None:
    verdict = judge(seed, groups=groups)
    assert not verdict.failure, describe(verdict)


@pytest.mark.parametrize(("seed", "groups"), MOVED_ON)
def test_nobody_stays_with_a_branch_of_its_own_for_those_who_have_gone_over(seed: int, *, groups: bool) -> None:
    calm = judge(seed, groups=groups).calm
    assert calm.until_equal is not None
    assert calm.until_equal <= 1


@pytest.mark.usefixtures("sha256_names")
@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_messages_as_slow_as_rounds_never_make_two_models_final(seed: int) -> None:
    assert slow_life(seed).conflicts == []


def test_a_full_disk_and_a_clock_an_hour_ahead_cost_no_work_of_peers_that_live() -> None:
    swarm = MachineSwarm(4, seed=3)
    swarm.watch.settle_s = swarm.watch.heal_s = 20.0
    swarm.after(8.0, partial(swarm.save, 0))
    swarm.after(8.1, partial(setattr, swarm.members[0], "disk_full", True))
    swarm.after(20.0, partial(swarm.save, 0))
    swarm.after(20.1, partial(swarm.crash, 0))
    swarm.after(23.0, partial(swarm.start, 0))
    swarm.after(12.0, partial(swarm.suspend, 1, 3600.0))
    swarm.run(60.0)
    assert swarm.members[0].unsaved == 1
    assert swarm.conflicts == []
    assert_caught_up(swarm)
    assert_each_piece_once(swarm)
    assert_nobody_blamed(swarm)


def test_a_swarm_that_stays_cut_in_two_is_not_judged_to_be_one_again() -> None:
    swarm = MachineSwarm(4, seed=3)
    swarm.after(5.0, partial(swarm.rewire, lambda a, b: (a < 2) != (b < 2)))
    swarm.run(10.0)
    calm = live_through_calm(swarm)
    assert calm.until_equal is None
    with pytest.raises(AssertionError, match="not all tips"):
        assert_one_again(swarm, calm)


def test_a_swarm_whose_finality_stands_still_is_not_judged_to_be_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Voter, "vote", lambda *_, **__: [])
    swarm = MachineSwarm(3, seed=3)
    swarm.run(10.0)
    calm = live_through_calm(swarm)
    assert calm.until_equal is not None
    with pytest.raises(AssertionError, match="finality never caught up"):
        assert_one_again(swarm, calm)


def test_the_same_seed_is_the_same_life() -> None:
    assert judge(5) == judge(5)


def test_every_trouble_is_drawn() -> None:
    assert len(PLANS) + len(MORE_PLANS) == 9
