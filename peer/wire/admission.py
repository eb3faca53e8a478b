"""What two peers ask each other before either serves the other anything: the swarm key."""

from typing import Annotated, TypeVar

import msgspec

from peer.errors import ProtocolError

ADMISSION_PROTOCOL = "admission/1"

MAX_CHALLENGE_BYTES = 64
MAX_CHALLENGE_ANSWER_BYTES = 512

Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Challenge(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Show that you may take part. nonce: drawn for this question."""

    nonce: Bytes32


class ChallengeAnswer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """proof: of the swarm key, for the nonce asked with; None: this peer has no key, and asks for none.

    refused: why the answering peer does not take the asking one in, as far as it knows; "" when it may come in.
    """

    proof: Bytes32 | None
    refused: Annotated[str, msgspec.Meta(max_length=256)]


A = TypeVar("A", Challenge, ChallengeAnswer)

_BOUNDS: dict[type, int] = {Challenge: MAX_CHALLENGE_BYTES, ChallengeAnswer: MAX_CHALLENGE_ANSWER_BYTES}
_encode = msgspec.msgpack.Encoder().encode


def encode(message: Challenge | ChallengeAnswer) -> bytes:
    return _encode(message)


def decode(data: bytes, message_type: type[A]) -> A:
    """Raises: ProtocolError when `data` is above the bound or not such a message."""
    if len(data) > _BOUNDS[message_type]:
        raise ProtocolError("oversize", f"{message_type.__name__} of {len(data)} bytes")
    try:
        return msgspec.msgpack.decode(data, type=message_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError("malformed", f"{message_type.__name__}: {error}") from error
