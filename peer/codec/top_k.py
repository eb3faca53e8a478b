"""The values of largest magnitude and where they are; the rest waits in the sender's remainder."""

import math

import numpy as np

from peer.codec.int8 import int8_bytes
from peer.codec.kernels import CodecKernels
from peer.codec.payload import delta_of, join, split, statistics_bytes
from peer.types import ModelDelta, ModelSchema

DEFAULT_FRACTION = 0.1
"""Aji & Heafield 2017 drop 99 % of gradients without loss; deltas of many steps are denser (docs/adr/0020)."""


class TopKInt8Codec:
    """u32 count, u32 gap bytes, u8 gaps, then the kept values as int8 in blocks.

    fraction: part of the coordinates that encoding keeps; decoding reads any. A gap is the number of coordinates left
    out before one, 255 standing for "255 and more". Zeros are never kept.
    Source: Aji & Heafield 2017, "Sparse Communication for Distributed Gradient Descent".
    """

    name = "topk-int8"
    sparse = True
    coarse = True

    def __init__(self, kernels: CodecKernels, *, fraction: float = DEFAULT_FRACTION) -> None:
        """Raises: ValueError unless 0 < fraction <= 1."""
        if not 0.0 < fraction <= 1.0:
            raise ValueError(f"codec 'topk-int8' needs 0 < fraction <= 1, got {fraction}")
        self._kernels = kernels
        self._fraction = fraction

    def max_bytes(self, schema: ModelSchema) -> int:
        gaps = schema.num_params + schema.num_params // 255
        return 8 + gaps + int8_bytes(schema.num_params) + statistics_bytes(schema)

    def encode(self, delta: ModelDelta) -> bytes:
        keep = max(1, math.ceil(delta.params.size * self._fraction))
        return join(self._kernels.encode_top_k(delta.params, keep), delta.moments)

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        encoded, moments = split(data, schema)
        params = np.empty(schema.num_params, np.float32)
        return delta_of(self._kernels.decode_top_k(encoded, params), params, moments)
