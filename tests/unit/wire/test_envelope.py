"""Envelopes: whatever bytes come in, the answer is a verified message or a named ProtocolError."""

from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.peer_ids import public_key_of
from peer.types import Digest
from peer.wire.envelope import MAX_ENVELOPE_BYTES, Signed, open_as, open_envelope, seal
from peer.wire.limits import PROTOCOL_VERSION
from peer.wire.messages import Ack, DeltaHeader, Manifest, RosterEntry
from peer.wire.sync import BlobRequest, SyncRequest, SyncResponse, decode

RUN = b"r" * 16
ME = Identity.for_tests(1)
HASH = Digest(b"h" * 32)


def header(**changes: object) -> DeltaHeader:
    good = DeltaHeader(
        round=1, base=HASH, sequence=1, payload=HASH, payload_bytes=10, codec="float32", env_steps=5, weight=5,
        steps_per_s=100,
        l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None, tasks=("standard",),
    )  # fmt: skip
    return msgspec.structs.replace(good, **changes)


def reason_of(data: bytes, *, run: bytes = RUN) -> str:
    with pytest.raises(ProtocolError) as caught:
        open_envelope(data, run=run)
    return caught.value.reason


def resigned(signed: Signed[DeltaHeader], **changes: object) -> bytes:
    """Return the envelope with fields replaced, the signature left as it was."""
    fields = dict(
        zip(
            ("version", "run", "kind", "peer", "session", "body", "signature"),
            msgspec.msgpack.decode(signed.data),
            strict=True,
        )
    )
    return msgspec.msgpack.encode([*(fields | changes).values()])


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_by_name(data: bytes) -> None:
    assert reason_of(data) in {"malformed", "version", "run", "bad_signature", "bad_peer_id", "oversize"}


@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_flipped_byte_is_refused(position: int, flip: int) -> None:
    data = bytearray(seal(header(), ME, run=RUN).data)
    data[position % len(data)] ^= flip
    assert reason_of(bytes(data)) in {"malformed", "version", "run", "bad_signature", "bad_peer_id", "oversize"}


@given(st.integers(0, 600))
def test_any_truncation_is_refused(length: int) -> None:
    data = seal(header(), ME, run=RUN).data
    assert reason_of(data[: min(length, len(data) - 1)]) == "malformed"


@given(data=st.binary(max_size=400), kind=st.sampled_from([SyncRequest, SyncResponse, BlobRequest]))
def test_random_requests_and_answers_are_refused_by_name(data: bytes, kind: type) -> None:
    reason = ""
    try:
        assert isinstance(decode(data, kind), kind)
    except ProtocolError as error:
        reason = error.reason
    assert reason in {"", "malformed", "oversize"}


def test_other_run_version_kind_and_signer_are_told_apart() -> None:
    signed = seal(header(), ME, run=RUN)
    assert reason_of(signed.data, run=b"x" * 16) == "run"
    assert reason_of(resigned(signed, version=PROTOCOL_VERSION + 1)) == "version"
    assert reason_of(resigned(signed, kind=9)) == "malformed"
    assert reason_of(resigned(signed, kind=4)) == "bad_signature"
    assert reason_of(resigned(signed, peer=Identity.for_tests(2).peer_id)) == "bad_signature"
    assert reason_of(resigned(signed, signature=bytes(64))) == "bad_signature"
    assert reason_of(resigned(signed, peer="nobody")) == "bad_peer_id"


@pytest.mark.parametrize("field", ["l2_norm", "approx_kl", "mean_return", "eval_return"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_header_with_a_value_that_is_not_finite_is_refused(field: str, value: float) -> None:
    assert reason_of(seal(header(**{field: value}), ME, run=RUN).data) == "not_finite"


@pytest.mark.parametrize(
    "changes",
    [{"round": -1}, {"round": 2**41}, {"env_steps": 0}, {"payload_bytes": 0}, {"payload_bytes": 2**40},
     {"base": b"short"}, {"codec": ""}, {"codec": "x" * 17}, {"tasks": ("t",) * 9}, {"sequence": 2**60}],
    ids=str,
)  # fmt: skip
def test_header_out_of_bounds_is_refused_although_signed(changes: dict[str, object]) -> None:
    assert reason_of(seal(header(**changes), ME, run=RUN).data) == "malformed"


def test_oversize_is_refused_before_it_is_decoded_and_never_sent() -> None:
    assert reason_of(bytes(MAX_ENVELOPE_BYTES + 1)) == "oversize"
    with pytest.raises(ValueError, match="the protocol allows 1024"):
        seal(header(tasks=("x" * 600, "y" * 600)), ME, run=RUN)


def test_deeply_nested_bytes_are_refused() -> None:
    assert reason_of(b"\x91" * 5000) == "malformed"


def test_one_kind_is_not_taken_for_another() -> None:
    ack = seal(Ack(1, HASH, HASH, HASH, 0), ME, run=RUN)
    with pytest.raises(ProtocolError, match="expected a Manifest, got a Ack"):
        open_as(ack.data, Manifest, run=RUN)


def test_equal_messages_have_equal_bytes_and_survive_the_trip() -> None:
    manifest = Manifest(1, HASH, 0, (b"x",), (), (RosterEntry(ME.peer_id, 0, 7, 3),), (), 0, 1, 5, "", HASH, b"")
    first, second = (seal(manifest, ME, run=RUN) for _ in range(2))
    assert first == second
    assert open_as(first.data, Manifest, run=RUN) == first


def test_an_envelope_is_laid_out_as_the_protocol_says() -> None:
    """[version, run, kind, peer, session, body, signature]; the first six are signed and make the digest."""
    signed = seal(Ack(1, HASH, HASH, HASH, 0), ME, run=RUN)
    *statement, signature = msgspec.msgpack.decode(signed.data)
    assert statement == [5, RUN, 4, ME.peer_id, ME.session, msgspec.msgpack.encode([1, HASH, HASH, HASH, 0])]
    packed = msgspec.msgpack.encode(statement)
    Ed25519PublicKey.from_public_bytes(public_key_of(ME.peer_id)).verify(signature, b"murmuration/1:" + packed)
    assert signed.digest == sha256(packed).digest()
