"""`codec: auto` by size."""

import pytest

from peer.codec.choice import choose_codec
from peer.codec.registry import CODECS


@pytest.mark.parametrize(
    ("num_params", "sparse", "name"),
    [
        (1, 1, "float32"),
        (65_535, 1, "float32"),  # one below 256 KB
        (65_535, 0, "float32"),
        (65_536, 1, "int4+zstd"),
        (65_536, 0, "int8+zstd"),
        (2_097_152, 1, "int4+zstd"),  # 8 MB
        (2_097_153, 1, "topk-int8+zstd"),
        (2_097_153, 0, "int8+zstd"),
    ],
)
def test_auto_goes_by_the_size_of_the_model(num_params: int, sparse: int, name: str) -> None:
    assert choose_codec("auto", num_params=num_params, sparse=bool(sparse)) == name
    assert name in CODECS


def test_a_name_is_taken_as_it_is() -> None:
    assert choose_codec("float16", num_params=10**7) == "float16"
