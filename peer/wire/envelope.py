"""Signed envelopes: who says what in which run. Checked in the order bound, version, run, shape, signature.

Layout: msgpack array [version, run, kind, peer, session, body, signature]; the signature covers the first six fields
with a domain prefix, and their SHA-256 is the message's digest (the signature is left out of it, so a second valid
signature cannot give the same statement another name).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Generic, Protocol, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from peer.errors import ProtocolError
from peer.peer_ids import public_key_of, short
from peer.types import Digest, PeerId, Session
from peer.wire.limits import (
    MAX_ACK_BYTES,
    MAX_CARD_BYTES,
    MAX_GROUP_SEAL_BYTES,
    MAX_HEADER_BYTES,
    MAX_MANIFEST_BYTES,
    MAX_STATISTIC,
    MAX_TOP_MANIFEST_BYTES,
    PROTOCOL_VERSION,
)
from peer.wire.messages import Ack, DeltaHeader, GroupSeal, Manifest, PeerCard, TopManifest

_DOMAIN = b"murmuration/1:"
ENVELOPE_OVERHEAD_BYTES = 256
"""Of an envelope beside its body, at most."""


class Signer(Protocol):
    """Whoever holds a private key: `peer.network.identity.Identity`, or a seeded one in simulations."""

    @property
    def peer_id(self) -> PeerId: ...

    @property
    def session(self) -> Session:
        """Drawn when the process started, and never used by another."""

    def sign(self, data: bytes) -> bytes: ...


Message = PeerCard | DeltaHeader | Manifest | Ack | GroupSeal | TopManifest
M = TypeVar("M", PeerCard, DeltaHeader, Manifest, Ack, GroupSeal, TopManifest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed(Generic[M]):
    """A message whose envelope has been verified. `data` are the envelope's bytes as they travel.

    session: of the process that signed; one that cheats may put any number there.
    """

    peer: PeerId
    session: Session
    message: M
    digest: Digest
    data: bytes


SignedDelta = Signed[DeltaHeader] | Signed[GroupSeal]
SignedManifest = Signed[Manifest] | Signed[TopManifest]
AnySigned = Signed[PeerCard] | Signed[Ack] | SignedDelta | SignedManifest


class Opener(Protocol):
    """`open_envelope`, or something that gives the same answers."""

    def __call__(self, data: bytes, *, run: bytes) -> AnySigned: ...


@dataclass(frozen=True, slots=True)
class _Kind:
    number: int
    max_bytes: int


_KINDS: dict[type[Message], _Kind] = {
    PeerCard: _Kind(1, MAX_CARD_BYTES),
    DeltaHeader: _Kind(2, MAX_HEADER_BYTES),
    Manifest: _Kind(3, MAX_MANIFEST_BYTES),
    Ack: _Kind(4, MAX_ACK_BYTES),
    GroupSeal: _Kind(5, MAX_GROUP_SEAL_BYTES),
    TopManifest: _Kind(6, MAX_TOP_MANIFEST_BYTES),
}
_TYPES: dict[int, type[Message]] = {kind.number: message for message, kind in _KINDS.items()}
MAX_ENVELOPE_BYTES = max(kind.max_bytes for kind in _KINDS.values())


class _Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    run: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    kind: int
    peer: Annotated[str, msgspec.Meta(max_length=64)]
    session: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    body: bytes
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


_decode_envelope = msgspec.msgpack.Decoder(_Envelope).decode
_decoders = {message: msgspec.msgpack.Decoder(message) for message in _KINDS}
_encode = msgspec.msgpack.Encoder().encode


def run_id_of(name: str, seed: int) -> bytes:
    """Return the 16 bytes that keep runs apart on the wire."""
    return hashlib.sha256(f"murmuration run {name} {seed}".encode()).digest()[:16]


def seal(message: M, signer: Signer, *, run: bytes) -> Signed[M]:
    """Sign `message` for `run`. Raises: ValueError when it exceeds its kind's bound."""
    kind = _KINDS[type(message)]
    body = _encode(message)
    peer, session = signer.peer_id, signer.session
    statement = _statement(PROTOCOL_VERSION, run, kind.number, peer, session, body)
    signature = signer.sign(_DOMAIN + statement)
    data = _encode(_Envelope(PROTOCOL_VERSION, run, kind.number, peer, session, body, signature))
    if len(data) > kind.max_bytes:
        raise ValueError(f"{type(message).__name__} is {len(data)} bytes, the protocol allows {kind.max_bytes}")
    return Signed(peer=peer, session=session, message=message, digest=_digest(statement), data=data)


def verify_signature(peer: PeerId, signature: bytes, signed_data: bytes) -> bool:
    """Return whether `signature` is `peer`'s of these bytes; a peer id that holds no key has none. Cost: 0.1 ms."""
    try:
        _public_key(peer).verify(signature, signed_data)
    except (InvalidSignature, ValueError):
        return False
    return True


Verify = Callable[[PeerId, bytes, bytes], bool]


def open_envelope(data: bytes, *, run: bytes, verify: Verify = verify_signature) -> AnySigned:
    """Verify and decode any message. Raises: ProtocolError; nothing is allocated beyond the kind's bound.

    verify: simulations sign by other means.
    """
    if len(data) > MAX_ENVELOPE_BYTES:
        raise ProtocolError("oversize", f"{len(data)} bytes, at most {MAX_ENVELOPE_BYTES} are allowed")
    try:
        envelope = _decode_envelope(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError("malformed", str(error)) from error
    if envelope.version != PROTOCOL_VERSION:
        said = f"it speaks protocol {envelope.version}, this peer {PROTOCOL_VERSION}: run one version everywhere"
        raise ProtocolError("version", said)
    if envelope.run != run:
        raise ProtocolError("run", f"message of run {envelope.run.hex()[:8]}, this peer is in {run.hex()[:8]}")
    message_type = _TYPES.get(envelope.kind)
    if message_type is None:
        raise ProtocolError("malformed", f"unknown message kind {envelope.kind}")
    if len(data) > _KINDS[message_type].max_bytes:
        raise ProtocolError("oversize", f"{message_type.__name__} of {len(data)} bytes")
    peer, session = PeerId(envelope.peer), Session(envelope.session)
    statement = _statement(envelope.version, envelope.run, envelope.kind, peer, session, envelope.body)
    if not verify(peer, envelope.signature, _DOMAIN + statement):
        raise ProtocolError("bad_signature", f"the signature is not {short(envelope.peer)}'s")
    try:
        message = _decoders[message_type].decode(envelope.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError("malformed", f"{message_type.__name__}: {error}") from error
    _require_finite(message)
    return Signed(peer=peer, session=session, message=message, digest=_digest(statement), data=data)  # type: ignore[return-value, type-var]  # the decoder of `message_type` returns that type; a union is not tracked through the table


def open_as(data: bytes, message_type: type[M], *, run: bytes) -> Signed[M]:
    """Like `open_envelope`, for one expected kind. Raises: ProtocolError when it is another."""
    return expect(open_envelope(data, run=run), message_type)


def expect(signed: AnySigned, message_type: type[M]) -> Signed[M]:
    """Raises: ProtocolError when it is a message of another kind."""
    if not isinstance(signed.message, message_type):
        raise ProtocolError("malformed", f"expected a {message_type.__name__}, got a {type(signed.message).__name__}")
    return signed  # type: ignore[return-value, unused-ignore]  # narrowed above; not carried to the generic by mypy


def _statement(version: int, run: bytes, kind: int, peer: PeerId, session: Session, body: bytes) -> bytes:
    return _encode((version, run, kind, peer, session, body))


def _digest(statement: bytes) -> Digest:
    return Digest(hashlib.sha256(statement).digest())


@lru_cache(maxsize=1024)
def _public_key(peer: PeerId) -> Ed25519PublicKey:
    """Cached, because spelling base58 out costs as much as the verification."""
    return Ed25519PublicKey.from_public_bytes(public_key_of(peer))


def _require_finite(message: object) -> None:
    if isinstance(message, DeltaHeader | GroupSeal):
        values = (message.l2_norm, message.approx_kl, message.mean_return, message.eval_return)
        if not all(value is None or abs(value) <= MAX_STATISTIC for value in values):  # written so that NaN fails
            raise ProtocolError("not_finite", f"a header carries NaN, infinity, or a value above {MAX_STATISTIC:.0e}")
