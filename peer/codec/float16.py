"""Half precision: half the bytes, 11 bits of every value."""

import numpy as np

from peer.codec.kernels import CodecKernels
from peer.codec.payload import delta_of, join, split, statistics_bytes
from peer.types import ModelDelta, ModelSchema


class Float16Codec:
    """i32 exponent, then binary16[P]: values are halves times 2^exponent, so that small deltas keep their digits."""

    name = "float16"
    sparse = False
    coarse = False

    def __init__(self, kernels: CodecKernels) -> None:
        self._kernels = kernels

    def max_bytes(self, schema: ModelSchema) -> int:
        return 4 + 2 * schema.num_params + statistics_bytes(schema)

    def encode(self, delta: ModelDelta) -> bytes:
        return join(self._kernels.encode_float16(delta.params), delta.moments)

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        encoded, moments = split(data, schema)
        params = np.empty(schema.num_params, np.float32)
        return delta_of(self._kernels.decode_float16(encoded, params), params, moments)
