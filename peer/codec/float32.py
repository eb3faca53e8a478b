"""float32 as it is: the codec for small models."""

import numpy as np

from peer.codec.kernels import CodecKernels
from peer.codec.payload import delta_of, join, split, statistics_bytes
from peer.errors import ProtocolError
from peer.types import ModelDelta, ModelSchema


class Float32Codec:
    """float32[P], little endian. Loses nothing."""

    name = "float32"
    sparse = False
    coarse = False

    def __init__(self, kernels: CodecKernels) -> None:
        self._kernels = kernels

    def max_bytes(self, schema: ModelSchema) -> int:
        return 4 * schema.num_params + statistics_bytes(schema)

    def encode(self, delta: ModelDelta) -> bytes:
        return join(np.ascontiguousarray(delta.params, "<f4").data, delta.moments)

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        expected = self.max_bytes(schema)
        if len(data) != expected:
            raise ProtocolError("payload_size", f"{len(data)} bytes, this model's delta has {expected}")
        encoded, moments = split(data, schema)
        params = np.frombuffer(encoded, "<f4")
        return delta_of(self._kernels.check_values(params), params, moments)
