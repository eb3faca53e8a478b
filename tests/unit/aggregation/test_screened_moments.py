"""Normalisation statistics of a round: a made-up sample moves the common ones no further than honest ones could."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.aggregation.registry import RULES
from peer.aggregation.screened_moments import screened
from peer.aggregation.step import aggregator
from peer.moments import merge_all
from peer.types import Contribution, ModelDelta, ModelState, Moments, PeerId

STEPS = 1000
BASE = ModelState(
    params=np.zeros(6, np.float32), moments=Moments(count=np.full(2, 1e5), mean=np.zeros(2), m2=np.full(2, 1e5))
)
START = replace(BASE, moments=Moments.empty(2))


def contribution(number: int, moments: Moments, *, env_steps: int = STEPS) -> Contribution:
    delta = ModelDelta(params=np.full(6, 1e-3, np.float32), moments=moments)
    return Contribution(peer=PeerId(f"p{number:02}"), weight=env_steps, env_steps=env_steps, delta=delta)


def sample(values: Sequence[Sequence[float]]) -> Moments:
    """Return the statistics of some observations, repeated up to STEPS of them."""
    rows = np.resize(np.asarray(values, np.float64), (STEPS, len(values[0])))
    mean = rows.mean(axis=0)
    return Moments(count=np.full(len(mean), float(STEPS)), mean=mean, m2=np.square(rows - mean).sum(axis=0))


def honest(count: int, *, seed: int = 3) -> list[Contribution]:
    rng = np.random.default_rng(seed)
    return [contribution(n, sample(rng.normal(rng.normal(0, 1, 2), 1, (100, 2)).tolist())) for n in range(count)]


def bytes_of(moments: Moments) -> bytes:
    return moments.count.tobytes() + moments.mean.tobytes() + moments.m2.tobytes()


MADE_UP = {
    "mean": Moments(count=np.full(2, 1000.0), mean=np.asarray([1e99, 0.0]), m2=np.zeros(2)),
    "mean of many": Moments(count=np.full(2, 2.0**52), mean=np.full(2, -1e99), m2=np.zeros(2)),
    "mean a thousand deviations off": Moments(count=np.full(2, 9.0), mean=np.full(2, 1e3), m2=np.ones(2)),
    "variance": Moments(count=np.full(2, 1000.0), mean=np.zeros(2), m2=np.asarray([0.0, 1e100])),
    "variance of less than one": Moments(count=np.full(2, 1e-300), mean=np.zeros(2), m2=np.full(2, 1e100)),
}


@pytest.mark.parametrize("base", [BASE, START], ids=["later", "first round"])
@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("lie", MADE_UP.values(), ids=MADE_UP.keys())
def test_made_up_statistics_are_left_out_whatever_the_rule(lie: Moments, rule: str, base: ModelState) -> None:
    good = honest(4)
    step = aggregator(rule)
    after = step(base, [contribution(99, lie), *good])
    expected = merge_all(base.moments, (each.delta.moments for each in good))
    assert bytes_of(after.moments) == bytes_of(expected)
    expected_group = merge_all(good[0].delta.moments, (each.delta.moments for each in good[1:]))
    together = step.group([contribution(99, lie), *good])
    assert bytes_of(together.delta.moments) == bytes_of(expected_group)


@given(st.permutations(range(6)))
def test_the_order_of_the_deltas_changes_no_bit(order: list[int]) -> None:
    deltas = [*honest(5), contribution(5, MADE_UP["mean of many"])]
    first, then = (aggregator("mean")(BASE, each).moments for each in (deltas, [deltas[i] for i in order]))
    assert bytes_of(first) == bytes_of(then)


HONEST = {
    "alike": honest(8),
    "one that has seen a constant of its own": [
        contribution(n, sample([[9.8 if n else 3.7, x] for x in (0.0, 1.0)])) for n in range(8)
    ],
    "one that has got the first reward": [
        contribution(n, sample([[0.0, -0.1 * i] for i in range(10)] + [[0.0 if n else 100.0, 0.0]])) for n in range(8)
    ],
    "one whose episodes end soon among many that balance": [
        contribution(n, sample([[x * (0.01 if n else 0.2), x] for x in (-1.0, 0.0, 1.0)])) for n in range(8)
    ],
    "variants of two kinds": [
        contribution(n, sample([[100.0 * (n % 2) + x, x] for x in (0.0, 1.0)])) for n in range(8)
    ],
    "elements that one alone has seen": [
        contribution(n, Moments(count=np.asarray([0.0 if n else 9.0, 9.0]), mean=np.zeros(2), m2=np.ones(2)))
        for n in range(8)
    ],
}


@pytest.mark.parametrize("base", [BASE, START], ids=["later", "first round"])
@pytest.mark.parametrize("deltas", HONEST.values(), ids=HONEST.keys())
def test_honest_statistics_are_merged_to_the_bit_however_they_differ(
    deltas: list[Contribution], base: ModelState
) -> None:
    expected = merge_all(base.moments, (each.delta.moments for each in deltas))
    assert bytes_of(aggregator("mean")(base, deltas).moments) == bytes_of(expected)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_observations_count_for_the_env_steps_of_the_header_at_most(count: int) -> None:
    many = Moments(count=np.full(2, 2.0**52), mean=np.full(2, 0.5), m2=np.full(2, 2.0**52))
    deltas = [contribution(99, many), *honest(count - 1)]
    (told, *_) = [part for part in screened(deltas, None, is_capped=True) if part.mean[0] == 0.5]
    np.testing.assert_array_equal(told.count, [STEPS, STEPS])
    np.testing.assert_allclose(told.m2 / told.count, [1.0, 1.0])


def test_env_steps_that_are_claimed_are_capped_as_weights_are() -> None:
    many = Moments(count=np.full(2, 2.0**52), mean=np.zeros(2), m2=np.full(2, 2.0**52))
    boast = contribution(99, many, env_steps=2**47)
    for weights, limit in (("capped", 2 * STEPS), ("equal", 2 * STEPS), ("env-steps", 2**47)):
        after = aggregator("mean", weights=weights)(START, [boast, *honest(5)])
        np.testing.assert_array_equal(after.moments.count, np.full(2, 5 * STEPS + limit))


def test_statistics_that_each_look_odd_to_the_others_leave_a_group_without_any() -> None:
    odd = [Moments(count=np.ones(8), mean=np.zeros(8), m2=np.where(np.arange(8) == n, 1e20, 0.0)) for n in range(8)]
    together = aggregator("mean").group(list(itertools.starmap(contribution, enumerate(odd))))
    assert bytes_of(together.delta.moments) == bytes_of(Moments.empty(8))
