"""Names and needs of the rules, where the configuration and the node rely on them."""

from typing import get_args

import pytest

from peer.aggregation.outer import OUTER_OPTIMIZERS
from peer.aggregation.registry import RULES
from peer.aggregation.rule import RuleOptions
from peer.aggregation.weights import WEIGHTS
from peer.common_model import aggregation, common_schema
from peer.config.schema import DENSE_RULES, AggregationConfig, Config
from peer.network.identity import Identity
from peer.round_parts import round_parts
from peer.types import Digest, ModelSchema

SCHEMA = ModelSchema(num_params=5_000_000, num_moments=3, digest=Digest(b"s" * 32))


def choices(key: str) -> set[str]:
    return set(get_args(AggregationConfig.model_fields[key].annotation))


def test_configuration_and_registries_name_the_same() -> None:
    assert choices("rule") == set(RULES)
    assert choices("outer") == set(OUTER_OPTIMIZERS)
    assert choices("weights") == set(WEIGHTS)
    assert set(DENSE_RULES) == {name for name, entry in RULES.items() if entry.needs_dense}
    assert AggregationConfig().clip == RuleOptions().clip
    assert AggregationConfig().assumed_bad == RuleOptions().assumed_bad


@pytest.mark.parametrize("rule", sorted(RULES))
def test_rules_by_coordinate_neither_choose_nor_accept_sparse_codecs(rule: str) -> None:
    config = Config.model_validate({"aggregation": {"rule": rule}})
    parts = round_parts(config, schema=SCHEMA, signer=Identity.for_tests(1))
    assert parts.codec.startswith("int8" if RULES[rule].needs_dense else "topk"), "auto, for a model of 20 MB"
    assert any(codec.sparse for codec in parts.codecs.values()) != RULES[rule].needs_dense


@pytest.mark.parametrize(("outer", "vectors"), [("sgd", 0), ("nesterov", 1), ("fedadam", 2)])
def test_schema_counts_the_outer_memory(outer: str, vectors: int) -> None:
    config = Config.model_validate({"aggregation": {"outer": outer}})
    assert common_schema(config, SCHEMA).num_outer == vectors * SCHEMA.num_params
    assert aggregation(config) is not None
