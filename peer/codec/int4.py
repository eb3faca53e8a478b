"""4 bits each in blocks that share one scale: an eighth of the bytes."""

import numpy as np

from peer.codec.kernels import BLOCK, CodecKernels
from peer.codec.payload import delta_of, join, split, statistics_bytes
from peer.types import ModelDelta, ModelSchema


def int4_bytes(num_values: int) -> int:
    """Return how long `num_values` values are: one float32 scale a block of 512, half a byte a value."""
    return 4 * -(-num_values // BLOCK) + -(-num_values // 2)


class Int4Codec:
    """f32 scale[ceil(P / 512)], then u8[ceil(P / 2)]: q * scale, where scale is the block's largest magnitude / 7.

    Of what was learned in a round it leaves out a tenth (of the norm), which error feedback sends later: docs/adr/0095.
    Source: Douillard et al. 2025, "Streaming DiLoCo with overlapping communication", whose outer gradients have 4 bits
    without loss; there of floating point, here linear in blocks as int8.
    """

    name = "int4"
    sparse = False
    coarse = True

    def __init__(self, kernels: CodecKernels) -> None:
        self._kernels = kernels

    def max_bytes(self, schema: ModelSchema) -> int:
        return int4_bytes(schema.num_params) + statistics_bytes(schema)

    def encode(self, delta: ModelDelta) -> bytes:
        return join(self._kernels.encode_int4(delta.params), delta.moments)

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        encoded, moments = split(data, schema)
        params = np.empty(schema.num_params, np.float32)
        return delta_of(self._kernels.decode_int4(encoded, params), params, moments)
