"""The seam between a delta and its bytes; every codec passes `tests/contract/test_codec.py`."""

from typing import Protocol

from peer.types import ModelDelta, ModelSchema

MAX_MAGNITUDE = 2.0**15
"""Bound on the absolute value of one coordinate of a delta: what fixed-point aggregation can hold. A policy whose
weight moves by more in one round has diverged."""


class Codec(Protocol):
    """Encode and decode a `ModelDelta`. Pure; equal input gives equal bytes on every machine.

    Normalisation statistics are exact in every codec. What a lossy one leaves out of the parameters is its caller's to
    keep (docs/adr/0019). Decoding allocates the delta and at most `max_bytes` more, whatever the bytes say.
    """

    @property
    def name(self) -> str:
        """What headers say, at most 16 characters: enough to decode by."""

    @property
    def sparse(self) -> bool:
        """Whether most coordinates decode to 0. Rules that take medians by coordinate cannot work with that."""

    @property
    def coarse(self) -> bool:
        """Whether it leaves out so much that it has to be kept for the next delta; what is sent once needs another."""

    def max_bytes(self, schema: ModelSchema) -> int:
        """Upper bound on a valid payload, so that a header can be refused before anything is pulled."""

    def encode(self, delta: ModelDelta) -> bytes: ...

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        """Raises: ProtocolError `payload_size`, `not_finite`, `magnitude`, `moments` or `malformed`."""
