"""The proof of a swarm key: whoever has the key passes, and no proof is of use to anybody else, or twice."""

import hashlib
import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.admission.swarm_key import SwarmKey
from peer.network.identity import Identity

KEY, OTHER_KEY = SwarmKey(b"k" * 32), SwarmKey(b"o" * 32)
RUN, NONCE = b"r" * 16, b"n" * 32
ALICE, BOB, MALLORY = (Identity.for_tests(number).peer_id for number in (1, 2, 3))


def proof(*, by: SwarmKey = KEY, **changes: object) -> bytes:
    said = {"run": RUN, "prover": ALICE, "verifier": BOB, "nonce": NONCE, **changes}
    return by.proof(**said)  # type: ignore[arg-type]  # tests name real parameters


def accepted(shown: bytes) -> bool:
    return KEY.accepts(shown, run=RUN, prover=ALICE, verifier=BOB, nonce=NONCE)


def test_the_proof_is_hmac_sha256_over_what_the_record_says() -> None:
    said = msgspec.msgpack.encode((b"murmuration swarm key 1", RUN, ALICE, BOB, NONCE))
    assert proof() == hmac.new(b"k" * 32, said, hashlib.sha256).digest()


def test_a_peer_with_the_key_is_accepted() -> None:
    assert accepted(proof())


def test_a_peer_with_another_key_is_not() -> None:
    assert not accepted(proof(by=OTHER_KEY))


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": b"m" * 32},  # replayed from an earlier challenge
        {"verifier": MALLORY},  # relayed: obtained by Mallory in its own name, passed on to Bob
        {"prover": MALLORY},  # what another member proved of itself
        {"prover": BOB, "verifier": ALICE},  # reflected: Bob's own answer to the same nonce
        {"run": b"s" * 16},  # of another run with the same key
    ],
)
def test_a_proof_made_for_another_occasion_is_not_accepted(changes: dict[str, object]) -> None:
    assert not accepted(proof(**changes))  # type: ignore[arg-type]  # names of parameters in a table


@given(st.binary(min_size=32, max_size=32))
def test_a_key_comes_back_from_its_file(secret: bytes) -> None:
    key = SwarmKey(secret)
    again = SwarmKey.parse(key.text())
    assert again.fingerprint == key.fingerprint
    assert again.text() == key.text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k" * 64,
        "/key/swarm/psk/2.0.0/\n/base16/\n" + "ab" * 32,
        "/key/swarm/psk/1.0.0/\n/base64/\n" + "ab" * 32,
        "/key/swarm/psk/1.0.0/\n/base16/\n" + "ab" * 31,
        "/key/swarm/psk/1.0.0/\n/base16/\n" + "xy" * 32,
        "/key/swarm/psk/1.0.0/\n/base16/\n" + "ab" * 32 + "\nmore",
    ],
)
def test_a_text_that_is_no_key_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|32 bytes"):
        SwarmKey.parse(text)


def test_neither_repr_nor_fingerprint_tells_the_secret() -> None:
    secret = (b"k" * 32).hex()
    assert secret not in repr(KEY)
    assert KEY.fingerprint not in secret
    assert KEY.fingerprint != OTHER_KEY.fingerprint
