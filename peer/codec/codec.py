"""The seam between a delta and its bytes; every codec passes `tests/contract/test_codec.py`."""

from typing import Protocol

from peer.types import ModelDelta, ModelSchema

MAX_MAGNITUDE = 2.0**15
"""Bound on the absolute value of one coordinate of a delta: what fixed-point aggregation can hold. A policy whose
weight moves by more in one round has diverged."""


class Codec(Protocol):
    """Encode and decode a `ModelDelta`. Pure; equal input gives equal bytes on every machine."""

    @property
    def name(self) -> str: ...

    def max_bytes(self, schema: ModelSchema) -> int:
        """Upper bound on a valid payload, so that a header can be refused before anything is pulled."""

    def encode(self, delta: ModelDelta) -> bytes: ...

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        """Raises: ProtocolError on a wrong size, a value that is not finite or out of bounds, or negative counts."""
