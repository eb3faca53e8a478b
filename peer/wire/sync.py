"""Requests between two connected peers: cards, anti-entropy, and content-addressed blobs."""

from typing import Annotated, TypeVar

import msgspec

from peer.wire.bounded import decode_bounded
from peer.wire.limits import (
    MAX_BLOB_BYTES,
    MAX_CARD_BYTES,
    MAX_RELAYED_BYTES,
    MAX_SYNC_MESSAGES,
    MAX_SYNC_REQUEST_BYTES,
    MAX_SYNC_RESPONSE_BYTES,
)
from peer.wire.messages import Count, Envelope, Hash, RoundNumber

CARD_PROTOCOL = "card/1"
SYNC_PROTOCOL = "sync/1"
BLOB_PROTOCOL = "blob/1"
PEERS_PROTOCOL = "peers/1"
DIAL_BACK_PROTOCOL = "dial-back/1"
RELAY_PROTOCOL = "relay/1"

MAX_PASSED_CARDS = 32
"""Cards in one answer of peer exchange: the whole swarm is learnt over several peers."""
HEADER_PROTOCOL = "header/1"
"""An announcement handed to a member of the own group; the answer is empty."""


class Tip(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a peer's chain ends; a claim until the manifests behind it have been checked."""

    digest: Hash
    round: RoundNumber
    score: Count


class SyncRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the asking peer has: tip, digests of recent manifests (newest first), headers held at the tip, and votes.

    final: the newest round that is final there, or the oldest that it knows; votes for later rounds come first.
    """

    tip: Tip
    recent: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=64)]
    headers: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=128)]
    acks: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=128)]
    final: RoundNumber


class SnapshotOffer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A blob that holds the whole state at the responder's tip, for peers that cannot replay."""

    tip: Tip
    blob: Hash
    blob_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_BLOB_BYTES)]


class SyncResponse(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the asking peer lacks: signed manifests in order, then headers and acks; a snapshot if it cannot replay."""

    tip: Tip
    messages: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=MAX_SYNC_MESSAGES)]
    snapshot: SnapshotOffer | None


class BlobRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Bytes [offset, offset + length) of the blob named by its BLAKE3 hash.

    The response is those bytes and nothing else; none at all when the responder does not hold the blob, or has no time.
    """

    blob: Hash
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_BLOB_BYTES)]
    length: Annotated[int, msgspec.Meta(ge=1, le=MAX_BLOB_BYTES)]


class PeersResponse(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Signed cards of peers that the responder is connected to, its own first. The request is empty."""

    cards: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=MAX_PASSED_CARDS)]


class DialBackRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Please dial the addresses of my card: `card` is signed by who asks."""

    card: Annotated[Envelope, msgspec.Meta(max_length=MAX_CARD_BYTES)]


class DialBackResponse(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What of the card's addresses was dialled, and where the asker was found. None of both: not now, or not by me.

    Why a dial failed is left out: the answer must tell nobody more of a third machine than that we are not there.
    """

    tried: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=128)], ...], msgspec.Meta(max_length=8)]
    reached: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=128)], ...], msgspec.Meta(max_length=8)]


class RelayRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Please pull this blob from your neighbours and keep it for me: I cannot reach who holds it."""

    blob: Hash
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_RELAYED_BYTES)]


class RelayResponse(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer to a `RelayRequest`. held: whether the blob can be pulled here for the next seconds."""

    held: bool


Request = SyncRequest | BlobRequest | DialBackRequest | RelayRequest
Response = SyncResponse | PeersResponse | DialBackResponse | RelayResponse

S = TypeVar(
    "S",
    SyncRequest,
    SyncResponse,
    BlobRequest,
    PeersResponse,
    DialBackRequest,
    DialBackResponse,
    RelayRequest,
    RelayResponse,
)

_BOUNDS: dict[type, int] = {
    SyncRequest: MAX_SYNC_REQUEST_BYTES,
    SyncResponse: MAX_SYNC_RESPONSE_BYTES,
    BlobRequest: 128,
    PeersResponse: MAX_PASSED_CARDS * (MAX_CARD_BYTES + 8) + 64,
    DialBackRequest: MAX_CARD_BYTES + 64,
    DialBackResponse: 4096,
    RelayRequest: 128,
    RelayResponse: 16,
}
_encode = msgspec.msgpack.Encoder().encode


def encode(message: Request | Response) -> bytes:
    return _encode(message)


def decode(data: bytes, message_type: type[S]) -> S:
    """Raises: ProtocolError when `data` is above the bound or not such a message."""
    return decode_bounded(data, message_type, max_bytes=_BOUNDS[message_type])
