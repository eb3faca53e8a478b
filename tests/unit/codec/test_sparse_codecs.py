"""Rules by coordinate and sparse codecs: kept apart in the configuration, in the choice of `auto`, and on the wire."""

import re

import pytest

from peer.aggregation.registry import RULES
from peer.codec.codec import Codec
from peer.codec.registry import CODECS
from peer.config.load import load_config
from peer.config.schema import DENSE_RULES, Config
from peer.errors import ConfigError
from peer.network.identity import Identity
from peer.round_parts import round_parts
from peer.types import Digest, ModelSchema

LARGE = ModelSchema(num_params=3_000_000, num_moments=3, digest=Digest(b"s" * 32))


def parts_with(rule: str) -> tuple[dict[str, Codec], str]:
    config = load_config([], {}, [f"aggregation.rule={rule}"])
    parts = round_parts(config, schema=LARGE, signer=Identity.for_tests(1))
    return parts.codecs, parts.codec


def test_configuration_knows_which_rules_need_dense_codecs() -> None:
    assert {name for name, entry in RULES.items() if entry.needs_dense} == DENSE_RULES


def test_configuration_knows_which_codecs_are_sparse() -> None:
    assert {name for name, codec in CODECS.items() if codec.sparse} == {
        name for name in CODECS if name.startswith("topk")
    }


@pytest.mark.parametrize("rule", sorted(RULES))
def test_sparse_codecs_are_refused_where_the_rule_cannot_take_them(rule: str) -> None:
    codecs, own = parts_with(rule)
    if rule in DENSE_RULES:
        assert not any(codec.sparse for codec in codecs.values())
        assert own == "int8+zstd"
    else:
        assert codecs.keys() == CODECS.keys()
        assert own == "topk-int8+zstd"


@pytest.mark.parametrize("rule", sorted(DENSE_RULES))
@pytest.mark.parametrize("codec", ["topk-int8", "topk-int8+zstd"])
def test_both_together_are_an_error_that_says_why(rule: str, codec: str) -> None:
    with pytest.raises(ConfigError, match=rf"round: expected .* {rule}, got {re.escape(codec)}") as caught:
        load_config([], {}, [f"round.codec={codec}", f"aggregation.rule={rule}"])
    assert "coordinate is 0" in str(caught.value)


def test_every_codec_can_be_configured() -> None:
    for name in CODECS:
        assert load_config([], {}, [f"round.codec={name}"]).round.codec == name
    assert Config().round.codec == "auto"
