"""What every aggregation rule must do; one suite over the registry, with both kernels."""

import hashlib
import itertools
import math
from collections.abc import Callable

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.aggregation.kernels import Kernels
from peer.aggregation.numpy_kernels import NumpyKernels
from peer.aggregation.registry import RULES, withstands
from peer.aggregation.rule import Contribution, RuleOptions
from peer.codec.codec import MAX_MAGNITUDE
from peer.native import AggregationKernels
from peer.types import ModelDelta, Moments, Params, PeerId

REFERENCE, NATIVE = NumpyKernels(), AggregationKernels(threads=2)
OPTIONS = RuleOptions(clip=1.0)
TRANSLATES = sorted(set(RULES) - {"clipped-mean"})
"""Clipping is about the length of a delta, so where zero is matters to it."""
ROBUST = sorted(set(RULES) - {"mean"})

each_rule = pytest.mark.parametrize("rule", sorted(RULES))
rows = hnp.arrays(np.float32, 5, elements=st.floats(-100, 100, width=32))
contributions = st.lists(st.tuples(st.integers(1, 10**9), rows), min_size=1, max_size=9)
honest_peers = st.integers(3, 9)


def contribution(weight: int, params: Params, number: int = 0) -> Contribution:
    delta = ModelDelta(params=params, moments=Moments.empty(2))
    return Contribution(weight=weight, delta=delta, peer=PeerId(f"peer-{number}"))


def combined(rule: str, parts: list[tuple[int, Params]], *, kernels: Kernels = NATIVE) -> Params:
    return RULES[rule].make(OPTIONS)([contribution(*part) for part in parts], kernels=kernels)


def around(centre: float, count: int, *, size: int = 40, seed: int = 5) -> list[tuple[int, Params]]:
    rng = np.random.default_rng(seed)
    return [(1000, (centre + 0.1 * rng.normal(size=size)).astype(np.float32)) for _ in range(count)]


@each_rule
@settings(max_examples=40)
@given(parts=contributions, rng=st.randoms(use_true_random=False))
def test_result_depends_on_the_set_alone_to_the_last_bit(
    rule: str, parts: list[tuple[int, Params]], rng: object
) -> None:
    shuffled = list(parts)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    first = combined(rule, parts)
    assert first.tobytes() == combined(rule, shuffled).tobytes()
    assert first.tobytes() == combined(rule, parts, kernels=REFERENCE).tobytes()
    assert first.dtype == np.float32
    assert not np.signbit(first[first == 0]).any(), "minus zero would be another model"


@each_rule
def test_every_order_of_tied_deltas_gives_the_same_bits(rule: str) -> None:
    corners = [np.asarray(corner, np.float32) for corner in ([1, 0], [-1, 0], [0, 1], [0, -1], [3, 3])]
    results = {
        combined(rule, [(weight, corners[i]) for weight, i in zip((3, 3, 3, 3, 5), order, strict=True)]).tobytes()
        for order in itertools.permutations(range(4))
        for order in [(*order, 4)]
    }
    assert len(results) == 1


@each_rule
@pytest.mark.parametrize("weights", [(7,), (1, 5), (1, 5, 1000)])
def test_equal_deltas_give_that_delta(rule: str, weights: tuple[int, ...]) -> None:
    params = np.asarray([0.5, -0.25, 3.0, 0.0, -7.5], np.float32)
    assert combined(rule, [(weight, params) for weight in weights]).tolist() == params.tolist()


@each_rule
@settings(max_examples=30)
@given(params=rows)
def test_one_delta_comes_back_within_the_unit_of_fixed_point(rule: str, params: Params) -> None:
    np.testing.assert_allclose(combined(rule, [(9, params)]), params, rtol=2**-24, atol=2**-36)


@each_rule
@settings(max_examples=40)
@given(parts=contributions)
def test_result_lies_within_the_range_of_each_coordinate_and_zero(rule: str, parts: list[tuple[int, Params]]) -> None:
    stack = np.stack([params for _, params in parts]).astype(np.float64)
    got = combined(rule, parts)
    slack = 1e-6 * np.abs(stack).max() + 1e-8
    assert (got >= np.minimum(stack.min(axis=0), 0) - slack).all()
    assert (got <= np.maximum(stack.max(axis=0), 0) + slack).all()


@pytest.mark.parametrize("rule", TRANSLATES)
@pytest.mark.parametrize("shift", [8.0, -1024.0])
def test_moving_all_deltas_moves_the_result_as_far(rule: str, shift: float) -> None:
    parts = around(0.5, 7)
    moved = [(weight, (params + np.float32(shift)).astype(np.float32)) for weight, params in parts]
    np.testing.assert_allclose(combined(rule, moved), combined(rule, parts) + shift, atol=3e-5 * abs(shift))


@each_rule
@pytest.mark.parametrize("factor", [0.125, 64.0])
def test_scaling_all_deltas_scales_the_result(rule: str, factor: float) -> None:
    parts = around(0.5, 7)
    scaled = [(weight, (params * np.float32(factor)).astype(np.float32)) for weight, params in parts]
    np.testing.assert_allclose(combined(rule, scaled), combined(rule, parts) * factor, rtol=1e-5, atol=1e-7 * factor)


ATTACKS: dict[str, Callable[[Params], Params]] = {
    "large": lambda row: np.full_like(row, MAX_MAGNITUDE),
    "sign flip": lambda row: -10 * row,
    "zero": np.zeros_like,
    "nearly the largest": lambda row: np.full_like(row, -MAX_MAGNITUDE / 3),
}


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("peers", [4, 5, 8, 13, 31])
@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_as_many_bad_peers_as_the_rule_withstands_leave_the_result_near_the_honest(
    rule: str, peers: int, attack: str
) -> None:
    bad = (peers - 1) // 2 if rule == "clipped-mean" else withstands(rule, OPTIONS, peers=peers)
    parts = around(1.0, peers)
    centre = np.mean([params for _, params in parts[bad:]], axis=0)
    attacked = [(weight, ATTACKS[attack](params).astype(np.float32)) for weight, params in parts[:bad]] + parts[bad:]
    off = float(np.linalg.norm(combined(rule, attacked) - centre))
    length = float(np.linalg.norm(centre))
    if rule == "clipped-mean":  # bounds what each may add, and takes no side: a median norm each, at most
        assert off <= 2.2 * length * bad / peers + 0.2 * length
    else:
        assert off <= 0.5 * length


@pytest.mark.parametrize("rule", sorted(set(ROBUST) - {"clipped-mean"}))
def test_a_majority_of_bad_peers_breaks_every_rule(rule: str) -> None:
    """So that the test above is known to be able to fail."""
    parts = around(1.0, 9)
    attacked = [(weight, np.full_like(params, 1000.0)) for weight, params in parts[:5]] + parts[5:]
    assert float(np.abs(combined(rule, attacked)).max()) > 100


def test_plain_mean_is_broken_by_one() -> None:
    parts = around(1.0, 9)
    assert float(np.abs(combined("mean", [(1000, np.full(40, MAX_MAGNITUDE, np.float32)), *parts[1:]])).max()) > 3000
    assert withstands("mean", OPTIONS, peers=100) == 0
    assert withstands("clipped-mean", OPTIONS, peers=100) == 0


@each_rule
@pytest.mark.parametrize("peers", [1, 2, 3])
def test_below_four_peers_nothing_is_claimed(rule: str, peers: int) -> None:
    assert withstands(rule, OPTIONS, peers=peers) == 0
    assert withstands(rule, OPTIONS, peers=4 * peers, bucket_size=4) == 0


def test_claims_are_those_of_the_papers() -> None:
    half = {rule: withstands(rule, RuleOptions(assumed_bad=0.49), peers=13) for rule in ROBUST}
    assert half == dict.fromkeys(ROBUST, 6) | {"multi-krum": 5, "clipped-mean": 0}, "Krum: 13 >= 2 f + 3"
    assert {rule: withstands(rule, OPTIONS, peers=13) for rule in ("multi-krum", "trimmed-mean")} == {
        "multi-krum": 3,
        "trimmed-mean": 3,
    }
    assert withstands("geometric-median", OPTIONS, peers=16, bucket_size=2) == 3


@each_rule
@pytest.mark.parametrize("count", [0, 65])
def test_no_or_too_many_contributions_are_the_callers_mistake(rule: str, count: int) -> None:
    for kernels in (NATIVE, REFERENCE):
        with pytest.raises(ValueError, match="1 to 64"):
            combined(rule, [(1, np.zeros(5, np.float32))] * count, kernels=kernels)


@each_rule
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2 * MAX_MAGNITUDE])
@pytest.mark.parametrize("others", [0, 1, 5])
def test_delta_out_of_range_never_enters(rule: str, value: float, others: int) -> None:
    bad = np.asarray([0.0, 0.0, value, 0.0, 0.0], np.float32)
    for kernels in (NATIVE, REFERENCE):
        with pytest.raises(ValueError, match="finite"):
            combined(rule, [(1, bad), *[(1, np.ones(5, np.float32))] * others], kernels=kernels)


@each_rule
def test_weight_below_one_is_the_callers_mistake_where_weights_count(rule: str) -> None:
    parts = [(0, np.ones(5, np.float32)), (3, np.ones(5, np.float32))]
    if rule in ("median", "trimmed-mean"):
        assert combined(rule, parts).tolist() == [1.0] * 5
    else:
        with pytest.raises(ValueError, match="at least 1"):
            combined(rule, parts)


GOLDEN = {
    "mean": "9eee8daae6fca671",
    "clipped-mean": "6d40457cc1cce3d2",
    "centered-clipping": "768052d8af597a26",
    "geometric-median": "dd65ac40b2827c3d",
    "multi-krum": "e006c4cbcfec08d4",
    "median": "cca52524eb1df0e9",
    "trimmed-mean": "3a926080345cfbe6",
}


@each_rule
def test_golden_hash(rule: str) -> None:
    """The same bytes on any CPU, instruction set and thread count. A change here splits old and new peers."""
    rng = np.random.default_rng(42)
    parts = [
        (int(rng.integers(1, 10**6)), (0.01 * (1 + 30 * (number == 3)) * rng.normal(size=70_000)).astype(np.float32))
        for number in range(9)
    ]
    assert hashlib.sha256(combined(rule, parts).tobytes()).hexdigest()[:16] == GOLDEN[rule]


def test_known_norms_are_used_instead_of_measuring_again() -> None:
    parts = around(1.0, 5)
    honest = [contribution(*part, number) for number, part in enumerate(parts)]
    rule = RULES["clipped-mean"].make(OPTIONS)
    told = [
        Contribution(weight=c.weight, delta=c.delta, peer=c.peer, norm=NATIVE.l2_norm(c.delta.params)) for c in honest
    ]
    assert rule(told, kernels=_NoNorms()).tobytes() == rule(honest, kernels=NATIVE).tobytes()


class _NoNorms(NumpyKernels):
    def l2_norm(self, delta: Params) -> float:
        raise AssertionError("the norm is known")


def test_clipping_shortens_to_the_median_norm_exactly() -> None:
    parts = [(1, np.asarray([length, 0.0], np.float32)) for length in (1.0, 2.0, 800.0)]
    assert combined("clipped-mean", parts).tolist() == [np.float32((1 + 2 + 2) / 3), 0.0]


def test_geometric_median_of_a_triangle_is_its_fermat_point() -> None:
    """Equilateral: the centroid. A corner of more than 120 degrees: that corner."""
    equilateral = [(1, np.asarray(p, np.float32)) for p in ([0, 0], [2, 0], [1, math.sqrt(3)])]
    np.testing.assert_allclose(combined("geometric-median", equilateral), [1, 1 / math.sqrt(3)], atol=1e-6)
    flat = [(1, np.asarray(p, np.float32)) for p in ([-5, 1], [5, 1], [0, 0])]
    np.testing.assert_allclose(combined("geometric-median", flat), [0, 0], atol=1e-3)


def test_multi_krum_leaves_the_far_ones_out() -> None:
    parts = [(1, np.asarray([value], np.float32)) for value in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 50.0, -80.0)]
    np.testing.assert_allclose(combined("multi-krum", parts), [np.mean([1.0, 1.1, 1.2, 1.3, 1.4, 1.5])], rtol=1e-6)


def test_median_and_trimmed_mean_equal_sorting_each_coordinate() -> None:
    rng = np.random.default_rng(3)
    for count in (1, 2, 4, 7, 12):
        stack = rng.normal(size=(count, 50)).astype(np.float32)
        parts = [(1, row) for row in stack]
        np.testing.assert_allclose(combined("median", parts), np.median(stack, axis=0), rtol=1e-6, atol=1e-9)
        ordered = np.sort(stack.astype(np.float64), axis=0)
        expected = ordered[count // 4 : count - count // 4].mean(axis=0)
        np.testing.assert_allclose(combined("trimmed-mean", parts), expected, rtol=1e-6, atol=1e-9)
