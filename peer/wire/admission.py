"""What two peers ask each other before either serves the other anything: the swarm key, and the newest allow-list."""

from typing import Annotated, TypeVar

import msgspec

from peer.wire.bounded import decode_bounded
from peer.wire.limits import MAX_ALLOW_LIST_BYTES
from peer.wire.messages import Count, Hash

ADMISSION_PROTOCOL = "admission/1"
ALLOW_LIST_PROTOCOL = "allow-list/1"
MAX_REFUSED_CHARS = 256


class Challenge(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Show that you may take part. nonce: drawn for this question."""

    nonce: Hash


class ChallengeAnswer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer to a `Challenge`.

    proof: of the swarm key, for the nonce asked with; None: this peer has no key, and asks for none.

    policy: hash of the authorities that it believes. list_version: of the newest allow-list it has, 0 for none.
    refused: why the answering peer does not take the asking one in, as far as it knows; "" when it may come in.
    """

    proof: Hash | None
    policy: Hash
    list_version: Count
    refused: Annotated[str, msgspec.Meta(max_length=MAX_REFUSED_CHARS)]


class AllowListRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Asks for a newer list than `version`, and tells which version the asking peer has."""

    version: Count


class AllowListResponse(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer to an `AllowListRequest`.

    data: the list with its signatures, None when the responder has none that is newer.
    """

    data: Annotated[bytes, msgspec.Meta(max_length=MAX_ALLOW_LIST_BYTES)] | None


A = TypeVar("A", Challenge, ChallengeAnswer, AllowListRequest, AllowListResponse)

_BOUNDS: dict[type, int] = {
    Challenge: 64,
    ChallengeAnswer: 1280,
    AllowListRequest: 16,
    AllowListResponse: MAX_ALLOW_LIST_BYTES + 64,
}
_encode = msgspec.msgpack.Encoder().encode


def encode(message: Challenge | ChallengeAnswer | AllowListRequest | AllowListResponse) -> bytes:
    return _encode(message)


def decode(data: bytes, message_type: type[A]) -> A:
    """Raises: ProtocolError when `data` is above the bound or not such a message."""
    return decode_bounded(data, message_type, max_bytes=_BOUNDS[message_type])
