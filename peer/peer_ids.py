"""libp2p peer ids of Ed25519 keys: the id *is* the public key, wrapped and spelled in base58.

Layout (libp2p specs, peer-ids): base58btc( 0x00 0x24 | 0x08 0x01 0x12 0x20 | key[32] ), that is an identity
multihash of 36 bytes around a protobuf PublicKey{type: Ed25519, data: key}. Always 52 characters,
"12D3Koo...".
"""

import base58

from peer.errors import ProtocolError
from peer.types import PeerId

PUBLIC_KEY_BYTES = 32
PEER_ID_CHARS = 52

_SHORT_CHARS = 6

_PREFIX = bytes((0x00, 0x24, 0x08, 0x01, 0x12, 0x20))


def peer_id_of(public_key: bytes) -> PeerId:
    """Return the peer id of a raw Ed25519 public key. Raises: ValueError unless it has 32 bytes."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, got {len(public_key)}")
    return PeerId(base58.b58encode(_PREFIX + public_key).decode("ascii"))


def public_key_of(peer_id: str) -> bytes:
    """Return the raw Ed25519 public key (32 bytes) that `peer_id` spells.

    Accepts exactly one spelling of each id, so ids may be compared as strings.
    Raises: ProtocolError `bad_peer_id` on anything else, after looking at no more than 52 characters.
    """
    if len(peer_id) != PEER_ID_CHARS:  # first: decoding costs the square of the length
        raise ProtocolError("bad_peer_id", f"expected {PEER_ID_CHARS} characters, got {len(peer_id)}")
    try:
        raw = base58.b58decode(peer_id)
    except ValueError as error:
        raise ProtocolError("bad_peer_id", f"not base58: {peer_id!r}") from error
    if len(raw) != len(_PREFIX) + PUBLIC_KEY_BYTES or not raw.startswith(_PREFIX):
        raise ProtocolError("bad_peer_id", f"not the id of an Ed25519 key: {peer_id!r}")
    key = raw[len(_PREFIX) :]
    if peer_id_of(key) != peer_id:  # the decoder forgives trailing blanks
        raise ProtocolError("bad_peer_id", f"not the canonical spelling: {peer_id!r}")
    return key


def short(peer_id: str) -> str:
    """Return the end of an id, by which people tell peers apart: all ids begin alike."""
    return peer_id[-_SHORT_CHARS:]
