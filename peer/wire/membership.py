"""What failure detection says on the wire: questions whether somebody is there, and signed statements about who is.

A statement is signed by its author, so that it may pass through any hands: nobody can refute for somebody else, and
each accuser counts once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

import msgspec

from peer.errors import ProtocolError
from peer.peer_ids import short
from peer.types import PeerId
from peer.wire.bounded import decode_bounded
from peer.wire.envelope import Signer, Verify, verify_signature
from peer.wire.limits import MAX_PROBE_BYTES, MAX_STATEMENTS
from peer.wire.messages import Count, PeerText

PROBE_PROTOCOL = "probe/1"
_DOMAIN = b"murmuration/member/1:"
_encode = msgspec.msgpack.Encoder().encode


class StatementKind(IntEnum):
    ALIVE = 1
    SUSPECT = 2


class Statement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`author` says of `subject` that it is alive (only of itself), or does not answer, in its life `incarnation`."""

    kind: StatementKind
    subject: PeerText
    incarnation: Count
    author: PeerText
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class Probe(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Are you there? With a target: is it there, if you ask it?"""

    target: PeerText | None
    statements: Annotated[tuple[Statement, ...], msgspec.Meta(max_length=MAX_STATEMENTS)]


class ProbeAnswer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer to a `Probe`.

    reached: whether the target answered; true without one. False is Lifeguard's nack: the helper itself is well.
    """

    reached: bool
    statements: Annotated[tuple[Statement, ...], msgspec.Meta(max_length=MAX_STATEMENTS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatement:
    """A statement whose signature holds in this run. raw: as it goes over the wire."""

    kind: StatementKind
    subject: PeerId
    incarnation: int
    author: PeerId
    raw: Statement


def encode_probe(message: Probe | ProbeAnswer) -> bytes:
    return _encode(message)


def decode_probe(data: bytes) -> Probe:
    """Raises: ProtocolError when `data` is above the bound or no question."""
    return decode_bounded(data, Probe, max_bytes=MAX_PROBE_BYTES)


def decode_probe_answer(data: bytes) -> ProbeAnswer:
    """Raises: ProtocolError when `data` is above the bound or no answer."""
    return decode_bounded(data, ProbeAnswer, max_bytes=MAX_PROBE_BYTES)


def make_statement(
    kind: StatementKind, subject: PeerId, incarnation: int, *, signer: Signer, run: bytes
) -> SignedStatement:
    """Sign a statement of this peer's own."""
    author = signer.peer_id
    signature = signer.sign(_signed_bytes(kind, subject, incarnation, author, run))
    raw = Statement(kind, subject, incarnation, author, signature)
    return SignedStatement(kind=kind, subject=subject, incarnation=incarnation, author=author, raw=raw)


def open_statement(statement: Statement, *, run: bytes, verify: Verify = verify_signature) -> SignedStatement:
    """Check a statement. Raises: ProtocolError when its signature is wrong, or it speaks for another's life."""
    subject, author = PeerId(statement.subject), PeerId(statement.author)
    if statement.kind is StatementKind.ALIVE and subject != author:
        raise ProtocolError(
            "bad_statement", f"{short(author)} says that {short(subject)} is alive, which only that one may"
        )
    signed_bytes = _signed_bytes(statement.kind, subject, statement.incarnation, author, run)
    if not verify(author, statement.signature, signed_bytes):
        raise ProtocolError("bad_signature", f"the statement's signature is not {short(author)}'s")
    return SignedStatement(
        kind=statement.kind, subject=subject, incarnation=statement.incarnation, author=author, raw=statement
    )


def raw_statements(statements: Iterable[SignedStatement]) -> tuple[Statement, ...]:
    return tuple(statement.raw for statement in statements)


def _signed_bytes(kind: StatementKind, subject: PeerId, incarnation: int, author: PeerId, run: bytes) -> bytes:
    return _DOMAIN + _encode((run, int(kind), subject, incarnation, author))
