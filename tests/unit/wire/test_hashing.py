"""Where two models differ, told from short hashes of their parts."""

from dataclasses import replace

import numpy as np
import pytest

from peer.types import Digest, ModelSchema, ModelState, Moments
from peer.wire.hashing import PART_HASH_BYTES, differing_parts, model_hash, part_hashes

SCHEMA = ModelSchema(
    num_params=7,
    num_moments=2,
    num_outer=7,
    digest=Digest(bytes(32)),
    tensors=(("weight", 4), ("bias", 1), ("head", 2)),
)
STATE = ModelState(
    params=np.arange(7, dtype=np.float32), moments=Moments.empty(2), outer=np.zeros(SCHEMA.num_outer, np.float32)
)


def spoilt(name: str, index: int) -> ModelState:
    if name == "moments":
        m2 = STATE.moments.m2.copy()
        m2[index] += 1.0
        return replace(STATE, moments=replace(STATE.moments, m2=m2))
    values = getattr(STATE, name).copy()
    values[index] = np.nextafter(values[index], np.float32(9.0))
    return replace(STATE, **{name: values})


@pytest.mark.parametrize(
    ("name", "index", "part"),
    [
        ("params", 0, "weight"),
        ("params", 3, "weight"),
        ("params", 4, "bias"),
        ("params", 5, "head"),
        ("params", 6, "head"),
        ("moments", 1, "statistics"),
        ("outer", 6, "outer optimizer"),
    ],
)
def test_one_changed_value_is_found_in_its_part(name: str, index: int, part: str) -> None:
    told = part_hashes(STATE, SCHEMA)
    assert len(told) == PART_HASH_BYTES * len(SCHEMA.parts)
    assert model_hash(spoilt(name, index)) != model_hash(STATE)
    assert differing_parts(spoilt(name, index), told, SCHEMA) == (part,)
    assert differing_parts(STATE, told, SCHEMA) == ()


@pytest.mark.parametrize("told", [b"", bytes(7), bytes(PART_HASH_BYTES), bytes(512)])
def test_hints_for_another_number_of_parts_name_none(told: bytes) -> None:
    assert differing_parts(STATE, told, SCHEMA) == ()


def test_tensors_must_tile_the_parameters() -> None:
    with pytest.raises(ValueError, match="the tensors hold 6 values, the model has 7 parameters"):
        replace(SCHEMA, tensors=(("weight", 4), ("bias", 2)))
