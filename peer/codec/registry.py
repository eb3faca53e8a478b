"""The codecs by the name that headers carry; a new codec is one file and one line here."""

from peer.codec.codec import Codec
from peer.codec.float16 import Float16Codec
from peer.codec.float32 import Float32Codec
from peer.codec.int4 import Int4Codec
from peer.codec.int8 import Int8Codec
from peer.codec.kernels import CodecKernels
from peer.codec.numpy_kernels import NumpyKernels
from peer.codec.top_k import DEFAULT_FRACTION, TopKInt8Codec
from peer.codec.zstd import ZstdCodec


def make_codecs(
    kernels: CodecKernels, *, top_k_fraction: float = DEFAULT_FRACTION, sparse: bool = True
) -> dict[str, Codec]:
    """Return the codecs that a peer encodes and decodes with, each also inside zstd ("int8+zstd").

    top_k_fraction: part that this peer sends; it decodes any. sparse: without it sparse codecs are left out, and
    headers that name one are refused.
    """
    plain: list[Codec] = [
        Float32Codec(kernels),
        Float16Codec(kernels),
        Int8Codec(kernels),
        Int4Codec(kernels),
        TopKInt8Codec(kernels, fraction=top_k_fraction),
    ]
    codecs = [wrapped for codec in plain for wrapped in (codec, ZstdCodec(codec))]
    return {codec.name: codec for codec in codecs if sparse or not codec.sparse}


CODECS = make_codecs(NumpyKernels())
"""With the reference kernels: for tests and small models."""
