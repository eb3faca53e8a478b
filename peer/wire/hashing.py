"""Names for bytes and for models."""

from collections.abc import Iterator

import numpy as np
from blake3 import blake3

from peer.types import Digest, ModelSchema, ModelState

PART_HASH_BYTES = 8
"""Short, as nothing rests on it: the whole model's hash decides, these say only where two models differ."""


def digest_of(data: bytes) -> Digest:
    """Return the BLAKE3 hash of `data`, by which payloads and snapshots are named."""
    return Digest(blake3(data).digest())


class ContentHasher:
    """The `digest_of` bytes that come in parts."""

    def __init__(self) -> None:
        self._hasher = blake3()

    def add(self, part: bytes | bytearray | memoryview) -> None:
        self._hasher.update(part)

    def digest(self) -> Digest:
        return Digest(self._hasher.digest())


def model_hash(state: ModelState) -> Digest:
    """Return the hash that two peers compare: BLAKE3 over parameters, statistics and outer memory, little endian.

    Minus zero and zero are different bytes and so different models; aggregation never yields minus zero.
    """
    hasher = blake3()
    for part in hashed_parts(state):
        hasher.update(part)
    return Digest(hasher.digest())


def hashed_parts(state: ModelState) -> Iterator[bytes]:
    """Yield the bytes that `model_hash` hashes."""
    yield b"murmuration model 1"
    yield _params_bytes(state)
    yield _moments_bytes(state)
    yield np.asarray(state.outer, "<f4").tobytes()


def part_hashes(state: ModelState, schema: ModelSchema) -> bytes:
    """Return PART_HASH_BYTES for each of `schema.parts`, one after the other."""
    return b"".join(blake3(part).digest()[:PART_HASH_BYTES] for part in _parts(state, schema))


def differing_parts(state: ModelState, told: bytes, schema: ModelSchema) -> tuple[str, ...]:
    """Return the names of the parts in which `state` is not the model whose `part_hashes` were told.

    told: may come from the network and hold anything; none is named when it has another length than it must have.
    """
    own = part_hashes(state, schema)
    if len(own) != len(told):
        return ()
    starts = range(0, len(own), PART_HASH_BYTES)
    differs = (own[at : at + PART_HASH_BYTES] != told[at : at + PART_HASH_BYTES] for at in starts)
    return tuple(name for name, is_other in zip(schema.parts, differs, strict=True) if is_other)


def _parts(state: ModelState, schema: ModelSchema) -> Iterator[bytes | memoryview]:
    params, start = memoryview(_params_bytes(state)), 0
    for _, size in schema.tensors:
        yield params[4 * start : 4 * (start + size)]
        start += size
    yield _moments_bytes(state)
    yield np.asarray(state.outer, "<f4").tobytes()


def _params_bytes(state: ModelState) -> bytes:
    return np.asarray(state.params, "<f4").tobytes()


def _moments_bytes(state: ModelState) -> bytes:
    moments = (state.moments.count, state.moments.mean, state.moments.m2)
    return b"".join(np.asarray(part, "<f8").tobytes() for part in moments)
