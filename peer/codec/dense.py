"""float32 as it is: the codec for small models."""

import numpy as np

from peer.codec.codec import MAX_MAGNITUDE
from peer.errors import ProtocolError
from peer.types import ModelDelta, ModelSchema, Moments

_MAX_COUNT = 2.0**52
_MAX_MOMENT = 1e100


class DenseCodec:
    """Parameters as float32[P], then count, mean and m2 as float64[M] each, all little endian."""

    name = "float32"

    def max_bytes(self, schema: ModelSchema) -> int:
        return 4 * schema.num_params + 24 * schema.num_moments

    def encode(self, delta: ModelDelta) -> bytes:
        moments = delta.moments
        rows = np.stack([moments.count, moments.mean, moments.m2])
        return np.asarray(delta.params, "<f4").tobytes() + np.asarray(rows, "<f8").tobytes()

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        expected = self.max_bytes(schema)
        if len(data) != expected:
            raise ProtocolError("payload_size", f"{len(data)} bytes, this model's delta has {expected}")
        params = np.frombuffer(data, "<f4", count=schema.num_params)
        rows = np.frombuffer(data, "<f8", offset=4 * schema.num_params).reshape(3, schema.num_moments)
        if not (np.isfinite(params).all() and np.isfinite(rows).all()):
            raise ProtocolError("not_finite", "the delta holds NaN or infinity")
        if params.size and float(np.abs(params).max()) > MAX_MAGNITUDE:
            raise ProtocolError("magnitude", f"a coordinate exceeds {MAX_MAGNITUDE:g}")
        count, mean, m2 = rows
        if (count < 0).any() or (count > _MAX_COUNT).any() or (m2 < 0).any() or (np.abs(rows) > _MAX_MOMENT).any():
            raise ProtocolError("moments", "a count or a variance is negative or out of range")
        return ModelDelta(params=params, moments=Moments(count=count, mean=mean, m2=m2))
