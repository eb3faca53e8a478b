"""The inner loops of the codecs as a seam: NumPy's are the reference, the C++ core's are as fast as memory.

Codecs are pure rules and do not know the core (pyproject.toml, "islands"); whoever builds them brings the kernels. Both
write the same bytes and return the same verdicts (tests/unit/codec/test_codec_kernels.py).
"""

from enum import IntEnum
from typing import Protocol

from peer.types import Params

BLOCK = 512
"""Values of int8 and int4 that share one scale; as in murmur/codec/codec.hpp."""


class Verdict(IntEnum):
    """What a decoder found; the numbers are those of murmur/codec/codec.hpp."""

    VALID = 0
    PAYLOAD_SIZE = 1
    NOT_FINITE = 2
    MAGNITUDE = 3
    MALFORMED = 4


class CodecKernels(Protocol):
    """float32[n] to bytes and back; the formats are described in murmur/codec/codec.hpp.

    Decoders take any bytes, write into `values` and return a `Verdict`; unless it is VALID, `values` means nothing.
    """

    def check_values(self, values: Params) -> int: ...

    def encode_float16(self, values: Params) -> bytes: ...

    def decode_float16(self, data: bytes | memoryview, values: Params) -> int: ...

    def encode_int8(self, values: Params) -> bytes: ...

    def decode_int8(self, data: bytes | memoryview, values: Params) -> int: ...

    def encode_int4(self, values: Params) -> bytes: ...

    def decode_int4(self, data: bytes | memoryview, values: Params) -> int: ...

    def encode_top_k(self, values: Params, keep: int) -> bytes: ...

    def decode_top_k(self, data: bytes | memoryview, values: Params) -> int: ...
