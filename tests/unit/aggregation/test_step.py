"""The whole step: weights, buckets, outer optimizers and statistics."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.aggregation.bucketing import bucketed
from peer.aggregation.numpy_kernels import NumpyKernels
from peer.aggregation.outer import OUTER_OPTIMIZERS, OuterOptions, initial_memory
from peer.aggregation.registry import RULES
from peer.aggregation.rule import Contribution
from peer.aggregation.step import aggregator
from peer.aggregation.weights import capped, env_steps, equal
from peer.moments import merge_all
from peer.types import ModelDelta, ModelState, Moments, Params, PeerId

KERNELS = NumpyKernels()
SIZE = 1000


def contributions(count: int, *, seed: int = 42) -> list[Contribution]:
    rng = np.random.default_rng(seed)
    return [
        Contribution(
            weight=int(rng.integers(1, 10**6)),
            peer=PeerId(f"peer-{number}"),
            delta=ModelDelta(
                params=rng.normal(0, 1e-2, SIZE).astype(np.float32),
                moments=Moments(count=np.full(4, 10.0), mean=rng.normal(size=4), m2=rng.uniform(1, 2, 4)),
            ),
        )
        for number in range(count)
    ]


def base_for(outer: str) -> ModelState:
    params = np.random.default_rng(7).normal(size=SIZE).astype(np.float32)
    memory = initial_memory(OUTER_OPTIMIZERS[outer](OuterOptions()), SIZE)
    return ModelState(params=params, moments=Moments.empty(4), outer=memory)


def bytes_of(state: ModelState) -> bytes:
    return state.params.tobytes() + state.outer.tobytes() + state.moments.mean.tobytes() + state.moments.m2.tobytes()


GOLDEN = {"sgd": "45ab94fb53c5aa37", "nesterov": "d1cd17e716f33761", "fedadam": "3a424c2dcda92d1c"}


@pytest.mark.parametrize("outer", sorted(OUTER_OPTIMIZERS))
def test_golden_hash_of_three_rounds(outer: str) -> None:
    """The same bytes on any CPU, instruction set and thread count. A change here splits old and new peers."""
    step = aggregator("clipped-mean", outer=OUTER_OPTIMIZERS[outer](OuterOptions()), bucket_size=2)
    state = base_for(outer)
    for number in range(3):
        state = step(state, contributions(5, seed=number), bytes([number]) * 32)
    assert hashlib.sha256(bytes_of(state)).hexdigest()[:16] == GOLDEN[outer]


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("bucket_size", [1, 3])
def test_order_of_contributions_changes_no_bit_of_the_state(rule: str, bucket_size: int) -> None:
    step, parts = aggregator(rule, bucket_size=bucket_size), contributions(7)
    base, digest = base_for("sgd"), b"d" * 32
    assert bytes_of(step(base, parts, digest)) == bytes_of(step(base, parts[::-1], digest))


def test_outer_sgd_with_rate_one_is_fedavg() -> None:
    parts = [replace(part, weight=5) for part in contributions(4)]
    base = base_for("sgd")
    got = aggregator("mean")(base, parts)
    mean = np.mean([part.delta.params for part in parts], axis=0, dtype=np.float64)
    np.testing.assert_allclose(got.params, base.params + mean, rtol=1e-6, atol=1e-9)
    assert got.outer.size == 0
    merged = merge_all(base.moments, (part.delta.moments for part in parts))
    assert got.moments.mean.tobytes() == merged.mean.tobytes()


def gradients(rounds: int) -> list[Params]:
    return [contributions(1, seed=number)[0].delta.params for number in range(rounds)]


def followed(outer: str, options: OuterOptions, rounds: int) -> ModelState:
    """Take the optimizer through rounds of one peer, whose delta is then the pseudo-gradient."""
    optimizer = OUTER_OPTIMIZERS[outer](options)
    step = aggregator("mean", outer=optimizer)
    state = ModelState(
        params=np.zeros(SIZE, np.float32), moments=Moments.empty(4), outer=initial_memory(optimizer, SIZE)
    )
    for number in range(rounds):
        state = step(state, contributions(1, seed=number))
    return state


def test_nesterov_equals_its_textbook_recursion() -> None:
    """In the form with a look-ahead point: y <- x - rate g(x), x <- y + m (y - y_before), which is another one."""
    got = followed("nesterov", OuterOptions(lr=0.7, momentum=0.9), 6)
    velocity, x = np.zeros(SIZE), np.zeros(SIZE)
    for gradient in gradients(6):
        before = velocity
        velocity = 0.9 * velocity + 0.7 * gradient.astype(np.float64)
        x = x - 0.9 * before + (1 + 0.9) * velocity  # Sutskever et al. 2013, rearranged for the look-ahead point
    np.testing.assert_allclose(got.params, x, rtol=1e-4, atol=1e-7)


def test_fedadam_equals_its_closed_form() -> None:
    """m and v as sums over all rounds instead of recursions (Kingma & Ba 2015, section 3)."""
    b1, b2, eps, rate = 0.9, 0.99, 1e-3, 0.01
    got = followed("fedadam", OuterOptions(lr=rate, momentum=b1, beta2=b2, epsilon=eps), 5)
    g = np.stack(gradients(5)).astype(np.float64)
    x = np.zeros(SIZE)
    for t in range(1, 6):
        ages = np.arange(t)[::-1]
        m = (1 - b1) * np.sum(b1 ** ages[:, None] * g[:t], axis=0)
        v = b2**t * eps**2 + (1 - b2) * np.sum(b2 ** ages[:, None] * g[:t] ** 2, axis=0)
        x += rate * m / (np.sqrt(v) + eps)
    np.testing.assert_allclose(got.params, x, rtol=1e-4, atol=1e-7)


def test_memory_of_another_optimizer_is_the_callers_mistake() -> None:
    step = aggregator("mean", outer=OUTER_OPTIMIZERS["nesterov"](OuterOptions()))
    with pytest.raises(ValueError, match="1 vectors"):
        step(base_for("fedadam"), contributions(2))


@given(st.lists(st.integers(1, 2**53), min_size=1, max_size=64))
def test_capped_weights_are_at_most_twice_the_median_and_else_as_claimed(weights: list[int]) -> None:
    part = contributions(1)[0]
    got = [c.weight for c in capped([replace(part, weight=weight) for weight in weights])]
    ordered = sorted(weights)
    twice_median = ordered[(len(weights) - 1) // 2] + ordered[len(weights) // 2]
    assert got == [min(weight, twice_median) for weight in weights]
    assert sum(got) <= 2 * len(weights) * twice_median


def test_other_ways_to_weigh() -> None:
    parts = contributions(3)
    assert [c.weight for c in env_steps(parts)] == [c.weight for c in parts]
    assert [c.weight for c in equal(parts)] == [1, 1, 1]


def test_bucketing_keeps_the_weighted_mean_and_draws_anew_each_round() -> None:
    parts = [replace(part, weight=3) for part in contributions(6)]
    first = bucketed(parts, size=2, previous=b"a", kernels=KERNELS)
    assert [bucket.weight for bucket in first] == [6, 6, 6]
    total = np.mean([bucket.delta.params for bucket in first], axis=0)
    np.testing.assert_allclose(total, np.mean([part.delta.params for part in parts], axis=0), atol=1e-8)
    seen = {
        frozenset(b.delta.params.tobytes() for b in bucketed(parts, size=2, previous=bytes([n]), kernels=KERNELS))
        for n in range(20)
    }
    assert len(seen) > 5, "15 ways to pair six"


def test_bucket_of_the_rest_is_smaller_and_size_one_changes_nothing() -> None:
    parts = contributions(5)
    assert len(bucketed(parts, size=3, previous=b"", kernels=KERNELS)) == 2
    assert bucketed(parts, size=1, previous=b"", kernels=KERNELS) == parts


@pytest.mark.parametrize(("size", "message"), [(0, "at least 1"), (2, "distinct")])
def test_bucketing_refuses_what_it_cannot_draw(size: int, message: str) -> None:
    parts = [replace(part, peer=PeerId("one")) for part in contributions(3)]
    with pytest.raises(ValueError, match=message):
        bucketed(parts, size=size, previous=b"", kernels=KERNELS)


def test_unknown_names_name_the_known_ones() -> None:
    with pytest.raises(ValueError, match="known: centered-clipping, clipped-mean"):
        aggregator("magic")
    with pytest.raises(ValueError, match="known: capped, env-steps, equal"):
        aggregator("mean", weights="magic")
