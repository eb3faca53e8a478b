"""zstd around another codec: int8 and gaps have about 6.5 and 4.7 bits of information in each byte."""

import zstandard

from peer.codec.codec import Codec
from peer.errors import ProtocolError
from peer.types import ModelDelta, ModelSchema

SUFFIX = "+zstd"
_LEVEL = 1
"""Deltas hold no repetitions, so all that helps is entropy coding, which level 1 does too: level 9 is 1 % smaller."""


class ZstdCodec:
    """One zstd frame that states its content's size, and nothing after it."""

    def __init__(self, inner: Codec) -> None:
        self._inner = inner
        self.name = inner.name + SUFFIX
        self.sparse = inner.sparse
        self.coarse = inner.coarse

    def max_bytes(self, schema: ModelSchema) -> int:
        """As ZSTD_compressBound has it: incompressible content grows by 1/256 and a few block headers."""
        size = self._inner.max_bytes(schema)
        return size + (size >> 8) + 128

    def encode(self, delta: ModelDelta) -> bytes:
        return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(self._inner.encode(delta))

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        """The stated size is held against the inner codec's bound before anything is allocated."""
        bound = self._inner.max_bytes(schema)
        try:
            stated = zstandard.frame_content_size(data)
            if stated < 0:
                raise ProtocolError("malformed", "a zstd frame that does not state its size")
            if stated > bound:
                raise ProtocolError("payload_size", f"{stated} bytes when decompressed, at most {bound} are possible")
            content = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise ProtocolError("malformed", f"zstd: {error}") from error
        return self._inner.decode(content, schema)
