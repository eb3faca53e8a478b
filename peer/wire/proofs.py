"""How proofs of contradictory statements travel: asked for by who lacks them, two signed envelopes each."""

from typing import Annotated, TypeVar

import msgspec

from peer.wire.bounded import decode_bounded
from peer.wire.limits import MAX_DENIED, MAX_MANIFEST_BYTES, MAX_PASSED_PROOFS
from peer.wire.messages import PeerText

PROOFS_PROTOCOL = "proofs/1"

ProofEnvelope = Annotated[bytes, msgspec.Meta(max_length=MAX_MANIFEST_BYTES)]


class ProofPair(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Two envelopes of one peer that exclude each other."""

    first: ProofEnvelope
    second: ProofEnvelope


class ProofsRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Against whom the asking peer holds proof already."""

    denied: Annotated[tuple[PeerText, ...], msgspec.Meta(max_length=MAX_DENIED)]


class ProofsResponse(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Some of the proofs that the asking peer lacks."""

    proofs: Annotated[tuple[ProofPair, ...], msgspec.Meta(max_length=MAX_PASSED_PROOFS)]


P = TypeVar("P", ProofsRequest, ProofsResponse)

_BOUNDS: dict[type, int] = {
    ProofsRequest: MAX_DENIED * 70,
    ProofsResponse: MAX_PASSED_PROOFS * (2 * MAX_MANIFEST_BYTES + 16) + 16,
}
_encode = msgspec.msgpack.Encoder().encode


def encode(message: ProofsRequest | ProofsResponse) -> bytes:
    return _encode(message)


def decode(data: bytes, message_type: type[P]) -> P:
    """Raises: ProtocolError when `data` is above the bound or not such a message."""
    return decode_bounded(data, message_type, max_bytes=_BOUNDS[message_type])
