"""Decoding of what other peers sent: the bound first, then the shape."""

from typing import TypeVar

import msgspec

from peer.errors import ProtocolError

T = TypeVar("T")


def decode_bounded(data: bytes, message_type: type[T], *, max_bytes: int) -> T:
    """Raises: ProtocolError when `data` is above the bound or not such a message."""
    if len(data) > max_bytes:
        raise ProtocolError("oversize", f"{message_type.__name__} of {len(data)} bytes")
    try:
        return msgspec.msgpack.decode(data, type=message_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError("malformed", f"{message_type.__name__}: {error}") from error
