"""What proves that a peer contradicted itself, and what must never."""

import msgspec
import pytest

from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.rounds.equivocation import Witness, check_proof
from peer.wire.envelope import AnySigned, Signed, seal
from peer.wire.messages import Ack, DeltaHeader, GroupMember, GroupSeal, PeerCard, TopManifest

RUN = b"r" * 16
EVIL, REBORN, OTHER = Identity.for_tests(1), Identity.for_tests(1, life=1), Identity.for_tests(2)


def vote(round_number: int = 41, manifest: bytes = b"m" * 32) -> Ack:
    return Ack(round_number, b"p" * 32, manifest, b"x" * 32, 0)


def manifest(previous: bytes = b"p" * 32, score: int = 5, view: int = 0) -> TopManifest:
    return TopManifest(
        round=41, previous=previous, view=view, groups=(b"g" * 32,), rejected=(), standing=b"s" * 32, score=score,
        env_steps=100, stop="", model=b"x" * 32, parts=b"",
    )  # fmt: skip


def delta(sequence: int = 7, base: bytes = b"b" * 32) -> DeltaHeader:
    return DeltaHeader(
        round=41, base=base, sequence=sequence, payload=b"y" * 32, payload_bytes=8, codec="float32", env_steps=100,
        weight=100, steps_per_s=10, l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None, tasks=(),
    )  # fmt: skip


def card(name: str) -> PeerCard:
    return PeerCard(boot=1, name=name, addresses=(), config=b"c" * 32, schema=b"s" * 32)


def signed(
    message: Ack | TopManifest | GroupSeal | DeltaHeader | PeerCard, by: Identity = EVIL, run: bytes = RUN
) -> AnySigned:
    return seal(message, by, run=run)  # type: ignore[type-var, return-value]  # any of them, one at a time


def group(weight: int = 100, base: bytes = b"b" * 32) -> GroupSeal:
    return GroupSeal(
        round=41, base=base, group=1, payload=b"y" * 32, payload_bytes=8, codec="float32", env_steps=100,
        weight=weight, l2_norm=1.0, approx_kl=0.0, mean_return=1.0, eval_return=None, rejected=(),
        members=(GroupMember(key=b"k" * 32, header=b"h" * 16, sequence=7, env_steps=100, steps_per_s=50),),
    )  # fmt: skip


CONTRADICTIONS = {
    "it voted twice in round 41, differently": (vote(), vote(manifest=b"n" * 32)),
    "it sealed round 41 twice, differently": (manifest(), manifest(score=6)),
    "it sealed its group in round 41 twice, differently": (group(), group(weight=99)),
    "it announced two different deltas under the number 7": (delta(), delta(base=b"c" * 32)),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_two_statements_for_one_slot_by_one_process_are_proof_that_anybody_can_check(what: str) -> None:
    one, other = (signed(message) for message in CONTRADICTIONS[what])  # type: ignore[arg-type]  # a pair of one kind
    witness = Witness()
    assert witness.see(one) is None
    found = witness.see(other)
    assert found is not None
    assert (found.peer, found.what) == (EVIL.peer_id, what)
    for pair in ((found.first, found.second), (found.second, found.first)):
        proof = check_proof(*pair, run=RUN)
        assert (proof.peer, proof.what) == (EVIL.peer_id, what)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (signed(vote()), signed(vote())),  # said twice, the same
        (signed(vote()), signed(vote(manifest=b"n" * 32), REBORN)),  # a crash, or a copied key: another process
        (signed(manifest()), signed(manifest(score=6), REBORN)),
        (signed(group()), signed(group(weight=99), REBORN)),
        (signed(group()), signed(group(base=b"c" * 32))),
        (signed(delta()), signed(delta(base=b"c" * 32), REBORN)),
        (signed(vote()), signed(vote(42, b"n" * 32))),  # of two rounds
        (signed(manifest()), signed(manifest(previous=b"q" * 32))),  # on two parents: the branch was changed
        (signed(delta(7)), signed(delta(8))),  # a delta that was announced anew
        (signed(vote()), signed(manifest())),  # of two kinds
        (signed(vote()), signed(vote(manifest=b"n" * 32), OTHER)),  # of two peers
        (signed(card("a")), signed(card("b"))),  # of a kind that may change
    ],
)
def test_what_an_honest_peer_may_sign_is_no_proof(one: AnySigned, other: AnySigned) -> None:
    witness = Witness()
    assert witness.see(one) is None
    assert witness.see(other) is None
    with pytest.raises(ProtocolError) as caught:
        check_proof(one.data, other.data, run=RUN)
    assert caught.value.reason == "bad_proof"


def test_a_seal_by_another_view_on_the_same_parent_is_a_second_seal_all_the_same() -> None:
    check_proof(signed(manifest(view=0)).data, signed(manifest(view=1)).data, run=RUN)


def test_a_proof_of_another_run_or_with_a_byte_altered_is_refused() -> None:
    one, other = signed(vote()).data, signed(vote(manifest=b"n" * 32)).data
    with pytest.raises(ProtocolError, match="run"):
        check_proof(one, other, run=b"x" * 16)
    with pytest.raises(ProtocolError):
        check_proof(one, other[:-1] + bytes([other[-1] ^ 1]), run=RUN)


def test_the_session_is_part_of_what_is_signed() -> None:
    """Else two honest statements of two lives could be made to look like those of one."""
    fields = msgspec.msgpack.decode(signed(vote(), REBORN).data)
    assert fields[4] == REBORN.session
    fields[4] = EVIL.session
    with pytest.raises(ProtocolError) as caught:
        check_proof(signed(vote(manifest=b"n" * 32)).data, msgspec.msgpack.encode(fields), run=RUN)
    assert caught.value.reason == "bad_signature"


def test_a_witness_forgets_rounds_that_are_long_over_and_does_not_take_them_up_again() -> None:
    witness = Witness()
    for number in range(1, 101):
        witness.see(signed(vote(number)))
    witness.forget(tip_round=100)
    assert sum(map(len, witness._seen.values())) == 33
    assert witness.see(signed(vote(67))) is None
    assert sum(map(len, witness._seen.values())) == 33
    witness.forget(tip_round=50)  # the chain was left for one that is behind
    assert [witness.see(signed(vote(40, name * 32))) for name in (b"n", b"o")] == [None, None]
    assert witness.see(signed(vote(68, b"n" * 32))) is not None


def test_a_witness_forgets_the_oldest_when_it_has_seen_too_much() -> None:
    witness = Witness()
    for number in range(3000):
        found: Signed[Ack] = seal(vote(number), EVIL, run=RUN)
        assert witness.see(found) is None
    assert sum(map(len, witness._seen.values())) == 2048
    assert witness.see(signed(vote(2999, b"n" * 32))) is not None
    assert witness.see(signed(vote(0, b"n" * 32))) is None
