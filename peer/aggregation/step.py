"""From one round's model to the next: rule, outer optimizer, statistics."""

from collections.abc import Sequence

import numpy as np

from peer.aggregation.mean import mean
from peer.aggregation.rule import Aggregator, Contribution, Rule
from peer.moments import merge_all
from peer.types import ModelState

RULES: dict[str, Rule] = {"mean": mean}
"""Aggregation rules by the name that the config uses; a new rule is one file and one line here."""


def aggregator(rule_name: str) -> Aggregator:
    """Return the aggregation step for a rule. The outer optimizer is SGD with rate 1, that is plain FedAvg.

    Raises: ValueError naming the known rules.
    """
    if rule_name not in RULES:
        raise ValueError(f"unknown aggregation rule {rule_name!r}, known: {', '.join(sorted(RULES))}")
    rule = RULES[rule_name]

    def step(base: ModelState, contributions: Sequence[Contribution]) -> ModelState:
        moved = base.params.astype(np.float64) + rule(contributions).astype(np.float64)
        params = moved.astype(np.float32) + np.float32(0.0)  # one rounding, no minus zero
        moments = merge_all(base.moments, (contribution.delta.moments for contribution in contributions))
        return ModelState(params=params, moments=moments)

    return step
