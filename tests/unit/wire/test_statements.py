"""Statements of failure detection: whose they are, in which run, and for whose life nobody else may speak."""

import msgspec
import pytest

from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.wire.membership import Statement, StatementKind, make_statement, open_statement

RUN = b"r" * 16
ME, OTHER = Identity.for_tests(1), Identity.for_tests(2)


def suspicion() -> Statement:
    return make_statement(StatementKind.SUSPECT, OTHER.peer_id, 3, signer=ME, run=RUN).raw


def reason_of(statement: Statement, *, run: bytes = RUN) -> str:
    with pytest.raises(ProtocolError) as caught:
        open_statement(statement, run=run)
    return caught.value.reason


def test_a_statement_is_taken_from_its_author_alone_and_in_its_run_alone() -> None:
    opened = open_statement(suspicion(), run=RUN)
    assert (opened.kind, opened.subject, opened.incarnation, opened.author) == (
        StatementKind.SUSPECT, OTHER.peer_id, 3, ME.peer_id,
    )  # fmt: skip
    assert reason_of(msgspec.structs.replace(suspicion(), author=OTHER.peer_id)) == "bad_signature"
    assert reason_of(suspicion(), run=b"x" * 16) == "bad_signature"


@pytest.mark.parametrize("change", [{"subject": "somebody"}, {"incarnation": 4}, {"signature": bytes(64)}], ids=str)
def test_a_statement_with_a_field_altered_is_refused(change: dict[str, object]) -> None:
    assert reason_of(msgspec.structs.replace(suspicion(), **change)) == "bad_signature"


def test_a_suspicion_is_no_sign_of_life() -> None:
    own = make_statement(StatementKind.SUSPECT, ME.peer_id, 3, signer=ME, run=RUN).raw
    assert reason_of(msgspec.structs.replace(own, kind=StatementKind.ALIVE)) == "bad_signature"


def test_each_speaks_for_its_own_life_alone() -> None:
    own = make_statement(StatementKind.ALIVE, ME.peer_id, 3, signer=ME, run=RUN)
    assert open_statement(own.raw, run=RUN) == own
    assert reason_of(make_statement(StatementKind.ALIVE, OTHER.peer_id, 3, signer=ME, run=RUN).raw) == "bad_statement"
