"""How two processes with one identity learn of each other, and can prove it to each other and to nobody else's harm.

A claim names the other's session number. That was drawn when the other started, so whoever signs it is alive since
then: an old claim, played back, names a session that is long over (docs/adr/0051).
"""

from typing import Annotated, TypeVar

import msgspec

from peer.errors import ProtocolError
from peer.peer_ids import short
from peer.types import PeerId, Session
from peer.wire.bounded import decode_bounded
from peer.wire.envelope import Signer, verify_signature
from peer.wire.limits import MAX_CLAIM_BYTES
from peer.wire.messages import Count, PeerCard

SESSION_PROTOCOL = "session/1"
_DOMAIN = b"murmuration/session/1:"
_encode = msgspec.msgpack.Encoder().encode

SessionNumber = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Claim(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """I, process `session` in its `boot`th start, use this identity, and process `against` is not me.

    name, addresses: as on the card, so that a user finds the machine.
    """

    boot: Count
    session: SessionNumber
    against: SessionNumber
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_.-]+\Z")]
    addresses: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=128)], ...], msgspec.Meta(max_length=8)]
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class SessionQuestion(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Another process, `rival`, is connected to me under your identity; `claim` is its own word, once I have it."""

    rival: SessionNumber
    claim: Claim | None


class SessionAnswer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The claim of the process asked, against that rival."""

    claim: Claim


def make_claim(card: PeerCard, signer: Signer, *, against: Session, run: bytes) -> Claim:
    """Say that this process, whose card it is, is not `against`."""
    unsigned = Claim(card.boot, signer.session, against, card.name, card.addresses, signature=b"")
    return msgspec.structs.replace(
        unsigned, signature=signer.sign(_signed_bytes(unsigned, peer=signer.peer_id, run=run))
    )


def check_claim(claim: Claim, *, peer: PeerId, against: Session, run: bytes) -> None:
    """Raises: ProtocolError unless another process of `peer` signed it against the process `against`."""
    if claim.against != against or claim.session == against:
        raise ProtocolError("bad_claim", "it is not of another process against this one")
    if not verify_signature(peer, claim.signature, _signed_bytes(claim, peer=peer, run=run)):
        raise ProtocolError("bad_signature", f"the claim is not signed by {short(peer)}")


S = TypeVar("S", SessionQuestion, SessionAnswer)


def encode(message: SessionQuestion | SessionAnswer) -> bytes:
    return _encode(message)


def decode(data: bytes, message_type: type[S]) -> S:
    """Raises: ProtocolError when `data` is above the bound or not such a message."""
    return decode_bounded(data, message_type, max_bytes=MAX_CLAIM_BYTES)


def _signed_bytes(claim: Claim, *, peer: PeerId, run: bytes) -> bytes:
    """Return what `peer` signs of a claim: all but the signature."""
    return _DOMAIN + _encode((run, peer, claim.boot, claim.session, claim.against, claim.name, claim.addresses))
