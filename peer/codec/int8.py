"""int8 in blocks that share one scale: a quarter of the bytes."""

import numpy as np

from peer.codec.kernels import BLOCK, CodecKernels
from peer.codec.payload import delta_of, join, split, statistics_bytes
from peer.types import ModelDelta, ModelSchema


def int8_bytes(num_values: int) -> int:
    """Return how long `num_values` values are: one float32 scale a block of 512, one byte a value."""
    return 4 * -(-num_values // BLOCK) + num_values


class Int8Codec:
    """f32 scale[ceil(P / 512)], then i8[P]: q * scale, where scale is the block's largest magnitude / 127.

    Source: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", with linear steps.
    """

    name = "int8"
    sparse = False
    coarse = False

    def __init__(self, kernels: CodecKernels) -> None:
        self._kernels = kernels

    def max_bytes(self, schema: ModelSchema) -> int:
        return int8_bytes(schema.num_params) + statistics_bytes(schema)

    def encode(self, delta: ModelDelta) -> bytes:
        return join(self._kernels.encode_int8(delta.params), delta.moments)

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        encoded, moments = split(data, schema)
        params = np.empty(schema.num_params, np.float32)
        return delta_of(self._kernels.decode_int8(encoded, params), params, moments)
