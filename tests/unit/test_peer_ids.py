"""Peer ids: agree with libp2p, one spelling each, nothing else accepted."""

import base58
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import Ed25519PublicKey
from libp2p.peer.id import ID

from peer.errors import ProtocolError
from peer.peer_ids import PEER_ID_CHARS, peer_id_of, public_key_of


@given(st.binary(min_size=32, max_size=32))
def test_any_key_survives_the_round_trip(key: bytes) -> None:
    text = peer_id_of(key)
    assert public_key_of(text) == key
    assert len(text) == PEER_ID_CHARS
    assert text.startswith("12D3Koo")


@given(st.binary(min_size=32, max_size=32))
def test_ids_agree_with_libp2p(seed: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert peer_id_of(key) == ID.from_pubkey(Ed25519PublicKey.from_bytes(key)).to_base58()


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_key_of_another_size_is_the_callers_mistake(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        peer_id_of(bytes(size))


GOOD = peer_id_of(bytes(range(32)))
BAD = {
    "empty": "",
    "short": GOOD[:-1],
    "long": GOOD + "1",
    "very long": "1" * 1_000_000,
    "blank at the end": GOOD[:-1] + " ",
    "blanks at the end": GOOD[:40] + " " * 12,
    "a byte less, and blanks": base58.b58encode(bytes((0, 0x24, 8, 1, 0x12, 0x20)) + b"k" * 31).decode().ljust(52),
    "newline": GOOD[:-1] + "\n",
    "letter outside base58": GOOD[:-1] + "0",
    "not ascii": GOOD[:-1] + "é",
    "leading one more": "1" + GOOD[:-1],
    "sha256 id of an rsa key": "Q" + GOOD[1:],
    "all ones": "1" * 52,
    "all z": "z" * 52,
    "another key type": base58.b58encode(bytes((0, 0x24, 8, 2, 0x12, 0x20)) + bytes(32)).decode(),
    "another length": base58.b58encode(bytes((0, 0x24, 8, 1, 0x12, 0x1F)) + bytes(32)).decode(),
}


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        public_key_of(BAD[name])
    assert caught.value.reason == "bad_peer_id"


@given(st.text(alphabet="123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz \n", min_size=52, max_size=52))
def test_what_is_accepted_has_one_spelling(text: str) -> None:
    try:
        key = public_key_of(text)
    except ProtocolError:
        return
    assert peer_id_of(key) == text
