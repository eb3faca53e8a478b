"""What every aggregation rule must do; one suite over the registry. The mean also against exact fractions."""

import hashlib
from fractions import Fraction

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.aggregation.mean import integer_weights, mean
from peer.aggregation.rule import Contribution, Rule
from peer.aggregation.step import RULES, aggregator
from peer.codec.codec import MAX_MAGNITUDE
from peer.moments import merge_all
from peer.types import ModelDelta, ModelState, Moments, Params

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
rows = hnp.arrays(np.float32, 5, elements=st.floats(-100, 100, width=32))
contributions = st.lists(st.tuples(st.integers(1, 10**9), rows), min_size=1, max_size=8)


def contribution(weight: int, params: Params) -> Contribution:
    return Contribution(weight=weight, delta=ModelDelta(params=params, moments=Moments.empty(2)))


@each_rule
@settings(max_examples=60)
@given(parts=contributions, rng=st.randoms(use_true_random=False))
def test_result_depends_on_the_set_alone_to_the_last_bit(
    rule: Rule, parts: list[tuple[int, Params]], rng: object
) -> None:
    shuffled = list(parts)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    first = rule([contribution(*part) for part in parts])
    assert first.tobytes() == rule([contribution(*part) for part in shuffled]).tobytes()
    assert first.dtype == np.float32
    assert not np.signbit(first[first == 0]).any(), "minus zero would be another model"


@each_rule
def test_equal_deltas_give_that_delta(rule: Rule) -> None:
    params = np.asarray([0.5, -0.25, 3.0, 0.0, -7.5], np.float32)
    assert rule([contribution(weight, params) for weight in (1, 5, 1000)]).tolist() == params.tolist()


@each_rule
@pytest.mark.parametrize("count", [0, 65])
def test_no_or_too_many_contributions_are_the_callers_mistake(rule: Rule, count: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        rule([contribution(1, np.zeros(5, np.float32))] * count)


@each_rule
@pytest.mark.parametrize("value", [np.nan, np.inf, 2 * MAX_MAGNITUDE])
def test_delta_out_of_range_is_the_callers_mistake(rule: Rule, value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        rule([contribution(1, np.full(5, value, np.float32))])


def test_largest_sum_does_not_overflow() -> None:
    params = np.asarray([MAX_MAGNITUDE, -MAX_MAGNITUDE], np.float32)
    assert mean([contribution(2**53, params)] * 64).tolist() == params.tolist()


@settings(max_examples=100)
@given(parts=contributions)
def test_mean_equals_exact_arithmetic_within_the_documented_bound(parts: list[tuple[int, Params]]) -> None:
    """Against fractions: with the integer weights within 2^-32 and one float32 rounding; 0.2 % of a weight's share."""
    got = mean([contribution(*part) for part in parts])
    weights = integer_weights([weight for weight, _ in parts])
    for coordinate in range(5):
        exact = Fraction(0)
        for weight, (_, params) in zip(weights, parts, strict=True):
            exact += weight * Fraction(float(params[coordinate]))
        exact /= sum(weights)
        rounding = abs(exact) * Fraction(1, 2**23) + Fraction(1, 2**31)
        assert abs(Fraction(float(got[coordinate])) - exact) <= rounding
    largest = max(weight for weight, _ in parts)
    for weight, (raw, _) in zip(weights, parts, strict=True):
        assert weight == 1 or abs(Fraction(weight, 511) - Fraction(raw, largest)) <= Fraction(1, 1022)


def test_golden_hash_of_a_step() -> None:
    """The same bytes on any CPU, instruction set and thread count. A change here splits old and new peers."""
    rng = np.random.default_rng(42)
    parts = [
        Contribution(
            weight=int(rng.integers(1, 10**6)),
            delta=ModelDelta(
                params=rng.normal(0, 1e-2, 1000).astype(np.float32),
                moments=Moments(count=np.full(4, 10.0), mean=rng.normal(size=4), m2=rng.uniform(1, 2, 4)),
            ),
        )
        for _ in range(5)
    ]
    base = ModelState(params=rng.normal(size=1000).astype(np.float32), moments=Moments.empty(4))
    state = aggregator("mean")(base, parts)
    data = state.params.tobytes() + state.moments.mean.tobytes() + state.moments.m2.tobytes()
    assert hashlib.sha256(data).hexdigest()[:32] == "1ce123a90c5047c2d0bba21e8c26c1d8"


@given(st.lists(hnp.arrays(np.float64, (6, 2), elements=st.floats(-1e3, 1e3)), min_size=1, max_size=5))
def test_merged_moments_equal_a_two_pass_computation(samples: list[np.ndarray]) -> None:
    parts = [
        Moments(count=np.full(2, 6.0), mean=part.mean(axis=0), m2=np.square(part - part.mean(axis=0)).sum(axis=0))
        for part in samples
    ]
    merged = merge_all(Moments.empty(2), parts)
    everything = np.concatenate(samples)
    assert merged.count.tolist() == [len(everything)] * 2
    np.testing.assert_allclose(merged.mean, everything.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        merged.m2, np.square(everything - everything.mean(axis=0)).sum(axis=0), rtol=1e-7, atol=1e-5
    )


def test_unseen_moments_stay_as_they_are_bit_for_bit() -> None:
    base = Moments(count=np.asarray([3.0]), mean=np.asarray([0.1]), m2=np.asarray([0.3]))
    merged = merge_all(base, [Moments.empty(1)])
    assert (merged.mean.tobytes(), merged.m2.tobytes()) == (base.mean.tobytes(), base.m2.tobytes())


def test_unknown_rule_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="known: mean"):
        aggregator("magic")
