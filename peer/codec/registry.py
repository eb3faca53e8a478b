"""The codecs by the name that headers carry; a new codec is one file and one line here."""

from peer.codec.codec import Codec
from peer.codec.dense import DenseCodec

CODECS: dict[str, Codec] = {codec.name: codec for codec in (DenseCodec(),)}
