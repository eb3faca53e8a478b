"""Claims of one process against another with its identity: what they prove, and what they do not."""

import msgspec
import pytest

from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.types import Session
from peer.wire.messages import PeerCard
from peer.wire.sessions import Claim, SessionAnswer, SessionQuestion, check_claim, decode, encode, make_claim

RUN = b"r" * 16
HERE, THERE, BEFORE = (Identity.for_tests(1, life=life) for life in (1, 2, 3))
OTHER = Identity.for_tests(2)


def claim(signer: Identity = THERE, *, against: Session = HERE.session, run: bytes = RUN) -> Claim:
    card = PeerCard(boot=6, name="peer-3", addresses=("/ip4/192.0.2.7/tcp/4001",), config=b"c" * 32, schema=b"s" * 32)
    return make_claim(card, signer, against=against, run=run)


def reason_of(claim: Claim) -> str:
    with pytest.raises(ProtocolError) as caught:
        check_claim(claim, peer=HERE.peer_id, against=HERE.session, run=RUN)
    return caught.value.reason


def test_claim_of_another_process_with_our_key_against_ours_holds() -> None:
    check_claim(claim(), peer=HERE.peer_id, against=HERE.session, run=RUN)


def test_claim_that_was_made_against_an_earlier_process_proves_nothing_when_it_is_played_back() -> None:
    assert reason_of(claim(against=BEFORE.session)) == "bad_claim"


def test_claim_of_this_very_process_is_no_second_one() -> None:
    assert reason_of(claim(HERE)) == "bad_claim"


def test_claim_of_another_key_or_run_or_with_a_field_altered_is_refused() -> None:
    assert reason_of(claim(OTHER)) == "bad_signature"
    assert reason_of(claim(run=b"x" * 16)) == "bad_signature"
    for name, value in (("boot", 7), ("name", "peer-4"), ("addresses", ()), ("session", BEFORE.session)):
        assert reason_of(msgspec.structs.replace(claim(), **{name: value})) == "bad_signature"


def test_questions_and_answers_come_back_from_bytes_as_they_were() -> None:
    for question in (SessionQuestion(HERE.session, None), SessionQuestion(HERE.session, claim())):
        assert decode(encode(question), SessionQuestion) == question
    assert decode(encode(SessionAnswer(claim())), SessionAnswer) == SessionAnswer(claim())


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", bytes(3000), encode(SessionQuestion(b"s" * 15, None))])
def test_bytes_that_are_no_question_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data, SessionQuestion)
