"""Statements of made-up peers, signed by nobody: the detector takes them as checked."""

from peer.types import PeerId
from peer.wire.membership import SignedStatement, Statement, StatementKind


def statement(kind: StatementKind, subject: str, incarnation: int, author: str) -> SignedStatement:
    raw = Statement(kind, subject, incarnation, author, bytes(64))
    return SignedStatement(kind=kind, subject=PeerId(subject), incarnation=incarnation, author=PeerId(author), raw=raw)


def suspect(subject: str, *, by: str, incarnation: int = 0) -> SignedStatement:
    return statement(StatementKind.SUSPECT, subject, incarnation, by)


def alive(subject: str, incarnation: int) -> SignedStatement:
    return statement(StatementKind.ALIVE, subject, incarnation, subject)
