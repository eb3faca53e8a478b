"""From one round's model to the next: weights, buckets, rule, outer optimizer, statistics."""

from collections.abc import Sequence
from dataclasses import dataclass

from peer.aggregation.bucketing import bucketed
from peer.aggregation.kernels import Kernels
from peer.aggregation.numpy_kernels import NumpyKernels
from peer.aggregation.outer import OuterOptimizer, outer_step
from peer.aggregation.outer_sgd import OuterSgd
from peer.aggregation.registry import RULES
from peer.aggregation.rule import Aggregator, Contribution, Rule, RuleOptions
from peer.aggregation.screened_moments import screened
from peer.aggregation.weights import GROUP_WEIGHTS, WEIGHTS, Weigh, env_steps
from peer.moments import merge_all
from peer.types import ModelDelta, ModelState, Moments, Params


def aggregator(
    rule: str,
    options: RuleOptions | None = None,
    *,
    weights: str = "capped",
    bucket_size: int = 1,
    outer: OuterOptimizer | None = None,
    kernels: Kernels | None = None,
) -> Aggregator:
    """Return the aggregation step. outer: SGD with rate 1 if None, that is FedAvg. kernels: NumPy if None.

    Raises: ValueError naming the known rules, or ways to weigh.
    """
    if rule not in RULES:
        raise ValueError(f"unknown aggregation rule {rule!r}, known: {', '.join(sorted(RULES))}")
    if weights not in WEIGHTS:
        raise ValueError(f"unknown weights {weights!r}, known: {', '.join(sorted(WEIGHTS))}")
    return Step(
        combine=RULES[rule].make(options or RuleOptions()),
        weigh=WEIGHTS[weights],
        weigh_groups=GROUP_WEIGHTS[weights],
        bucket_size=bucket_size,
        optimizer=outer or OuterSgd(lr=1.0),
        kernels=kernels or NumpyKernels(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Implements `Aggregator`."""

    combine: Rule
    weigh: Weigh
    weigh_groups: Weigh
    bucket_size: int
    optimizer: OuterOptimizer
    kernels: Kernels

    def __call__(self, base: ModelState, contributions: Sequence[Contribution], previous: bytes = b"") -> ModelState:
        return self._moved(base, contributions, self.weigh, previous)

    def group(self, contributions: Sequence[Contribution], previous: bytes = b"") -> Contribution:
        ordered = _ordered(contributions)
        weighed = self.weigh(ordered)
        params = self._combined(weighed, previous)
        size = ordered[0].delta.moments.size
        first, *others = screened(ordered, None, is_capped=self.weigh is not env_steps) or [Moments.empty(size)]
        return Contribution(
            weight=sum(contribution.weight for contribution in weighed),
            delta=ModelDelta(params=params, moments=merge_all(first, others)),
        )

    def of_groups(self, base: ModelState, groups: Sequence[Contribution], previous: bytes = b"") -> ModelState:
        return self._moved(base, groups, self.weigh_groups, previous)

    def _moved(
        self, base: ModelState, contributions: Sequence[Contribution], weigh: Weigh, previous: bytes
    ) -> ModelState:
        ordered = _ordered(contributions)
        params, memory = outer_step(self.optimizer, base, self._combined(weigh(ordered), previous))
        moments = merge_all(base.moments, screened(ordered, base.moments, is_capped=weigh is not env_steps))
        return ModelState(params=params, moments=moments, outer=memory)

    def _combined(self, weighed: Sequence[Contribution], previous: bytes) -> Params:
        inputs = bucketed(weighed, size=self.bucket_size, previous=previous, kernels=self.kernels)
        return self.combine(inputs, kernels=self.kernels)


def _ordered(contributions: Sequence[Contribution]) -> list[Contribution]:
    return sorted(contributions, key=lambda contribution: contribution.peer)
