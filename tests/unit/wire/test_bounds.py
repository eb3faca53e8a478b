"""Bounds on what comes in: the last value that is taken of every field and the first that is not, and of every size.

The numbers are those of docs/protocol.md, written out here once more.
"""

from collections.abc import Callable

import msgspec
import pytest

from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.wire import admission, membership, proofs, sessions, sync
from peer.wire.envelope import open_envelope
from peer.wire.limits import PROTOCOL_VERSION
from peer.wire.messages import (
    Ack,
    Announcement,
    DeltaHeader,
    DepartedEntry,
    GroupMember,
    GroupSeal,
    Manifest,
    PeerCard,
    Rejection,
    RosterEntry,
    TopManifest,
    decode_announcement,
)

RUN = b"r" * 16
HASH = b"h" * 32
ME = Identity.for_tests(1)
KIB = 1024
LARGEST_COUNT = 2**53
LARGEST_ROUND = 2**40
LARGEST_BLOB = 2**30

KINDS: dict[type, tuple[int, int]] = {
    PeerCard: (1, 4 * KIB),
    DeltaHeader: (2, KIB),
    Manifest: (3, 60 * KIB),
    Ack: (4, 512),
    GroupSeal: (5, 10 * KIB),
    TopManifest: (6, 16 * KIB),
}
"""What each signed message is called in its envelope, and how large that may be."""

OTHERS: dict[type, tuple[Callable[[bytes], object], int]] = {
    Announcement: (decode_announcement, 60 * KIB + 64),
    admission.AllowListRequest: (lambda data: admission.decode(data, admission.AllowListRequest), 16),
    admission.AllowListResponse: (lambda data: admission.decode(data, admission.AllowListResponse), 256 * KIB + 64),
    admission.Challenge: (lambda data: admission.decode(data, admission.Challenge), 64),
    admission.ChallengeAnswer: (lambda data: admission.decode(data, admission.ChallengeAnswer), 1280),
    membership.Probe: (membership.decode_probe, 2 * KIB),
    membership.ProbeAnswer: (membership.decode_probe_answer, 2 * KIB),
    proofs.ProofsRequest: (lambda data: proofs.decode(data, proofs.ProofsRequest), 256 * 70),
    proofs.ProofsResponse: (lambda data: proofs.decode(data, proofs.ProofsResponse), 8 * (120 * KIB + 16) + 16),
    sessions.SessionAnswer: (lambda data: sessions.decode(data, sessions.SessionAnswer), 2 * KIB),
    sessions.SessionQuestion: (lambda data: sessions.decode(data, sessions.SessionQuestion), 2 * KIB),
    sync.BlobRequest: (lambda data: sync.decode(data, sync.BlobRequest), 128),
    sync.DialBackRequest: (lambda data: sync.decode(data, sync.DialBackRequest), 4 * KIB + 64),
    sync.DialBackResponse: (lambda data: sync.decode(data, sync.DialBackResponse), 4 * KIB),
    sync.PeersResponse: (lambda data: sync.decode(data, sync.PeersResponse), 32 * (4 * KIB + 8) + 64),
    sync.RelayRequest: (lambda data: sync.decode(data, sync.RelayRequest), 128),
    sync.RelayResponse: (lambda data: sync.decode(data, sync.RelayResponse), 16),
    sync.SyncRequest: (lambda data: sync.decode(data, sync.SyncRequest), 16 * KIB),
    sync.SyncResponse: (lambda data: sync.decode(data, sync.SyncResponse), KIB * KIB),
}

ENTRY = RosterEntry(peer="p", missed=0, steps_per_s=0, sequence=0)
GONE = DepartedEntry(peer="p", sequence=0, round=0)
REJECTION = Rejection(header=HASH, peer="p", reason="norm")
MEMBER = GroupMember(key=HASH, header=HASH[:16], sequence=0, env_steps=1, steps_per_s=0)
TIP = sync.Tip(digest=HASH, round=0, score=0)
OFFER = sync.SnapshotOffer(tip=TIP, blob=HASH, blob_bytes=1)
STATEMENT = membership.Statement(
    kind=membership.StatementKind.ALIVE, subject="p", incarnation=0, author="p", signature=bytes(64)
)
CARD = PeerCard(boot=0, name="peer-1", addresses=(), config=HASH, schema=HASH)
HEADER = DeltaHeader(
    round=0, base=HASH, sequence=0, payload=HASH, payload_bytes=1, codec="float32", env_steps=1, weight=1,
    steps_per_s=0, l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None, tasks=(),
)  # fmt: skip
MANIFEST = Manifest(
    round=0, previous=HASH, view=0, admitted=(b"",), rejected=(), roster=(ENTRY,), departed=(), horizon=0, score=0,
    env_steps=0, stop="", model=HASH, parts=b"",
)  # fmt: skip
SEAL = GroupSeal(
    round=0, base=HASH, group=0, payload=HASH, payload_bytes=1, codec="float32", env_steps=1, weight=1, l2_norm=1.0,
    approx_kl=0.0, mean_return=None, eval_return=None, members=(MEMBER,), rejected=(),
)  # fmt: skip
TOP = TopManifest(
    round=0, previous=HASH, view=0, groups=(HASH,), rejected=(), standing=HASH, score=0, env_steps=0, stop="",
    model=HASH, parts=b"",
)  # fmt: skip
ACK = Ack(round=0, previous=HASH, manifest=HASH, model=HASH, after=0)
CLAIM = sessions.Claim(boot=0, session=bytes(16), against=bytes(16), name="p", addresses=(), signature=bytes(64))
REQUEST = sync.SyncRequest(tip=TIP, recent=(), headers=(), acks=(), final=0)
BLOB = sync.BlobRequest(blob=HASH, offset=0, length=1)

HASHES: list[tuple[msgspec.Struct, str]] = [
    (CARD, "config"), (CARD, "schema"), (HEADER, "base"), (HEADER, "payload"), (MANIFEST, "previous"),
    (MANIFEST, "model"), (SEAL, "base"), (SEAL, "payload"), (TOP, "previous"), (TOP, "standing"), (TOP, "model"),
    (ACK, "previous"), (ACK, "manifest"), (ACK, "model"), (BLOB, "blob"), (admission.Challenge(nonce=HASH), "nonce"),
    (sync.RelayRequest(blob=HASH, size=1), "blob"),
]  # fmt: skip
COUNTS: list[tuple[msgspec.Struct, str]] = [
    (CARD, "boot"), (HEADER, "sequence"), (HEADER, "steps_per_s"), (MANIFEST, "view"), (MANIFEST, "score"),
    (MANIFEST, "env_steps"), (TOP, "view"), (TOP, "score"), (TOP, "env_steps"),
    (admission.AllowListRequest(version=0), "version"),
]  # fmt: skip
ROUNDS: list[tuple[msgspec.Struct, str]] = [
    (HEADER, "round"), (MANIFEST, "round"), (MANIFEST, "horizon"), (SEAL, "round"), (TOP, "round"), (ACK, "round"),
    (ACK, "after"), (REQUEST, "final"),
]  # fmt: skip

Case = tuple[msgspec.Struct, str, object, object]
FIELDS: list[Case] = [
    *((message, field, HASH, bad) for message, field in HASHES for bad in (HASH[:31], HASH + b"h")),
    *((message, field, *pair) for message, field in COUNTS for pair in ((0, -1), (LARGEST_COUNT, LARGEST_COUNT + 1))),
    *((message, field, *pair) for message, field in ROUNDS for pair in ((0, -1), (LARGEST_ROUND, LARGEST_ROUND + 1))),
    (CARD, "name", "n", ""),
    (CARD, "name", "n" * 32, "n" * 33),
    (CARD, "name", "A-z_0.9", "a b"),
    (CARD, "name", "peer-1", "peer-1\n"),
    (CARD, "addresses", ("a" * 128,) * 8, ("a",) * 9),
    (CARD, "addresses", ("a" * 128,), ("a" * 129,)),
    (CARD, "sections", bytes(32), bytes(33)),
    (HEADER, "payload_bytes", 1, 0),
    (HEADER, "payload_bytes", LARGEST_BLOB, LARGEST_BLOB + 1),
    (HEADER, "codec", "c", ""),
    (HEADER, "codec", "c" * 16, "c" * 17),
    (HEADER, "env_steps", 1, 0),
    (HEADER, "env_steps", 2**47, 2**47 + 1),
    (HEADER, "weight", 1, 0),
    (HEADER, "weight", 2**47, 2**47 + 1),
    (HEADER, "tasks", ("t" * 48,) * 8, ("t",) * 9),
    (HEADER, "tasks", ("t" * 48,), ("t" * 49,)),
    (HEADER, "tasks", ("a-0",), ("",)),
    (HEADER, "tasks", ("a-0",), ("A",)),
    (HEADER, "tasks", ("a-0",), ("a-0\n",)),
    (MANIFEST, "admitted", (b"",), ()),
    (MANIFEST, "admitted", (b"",) * 64, (b"",) * 65),
    (MANIFEST, "rejected", (REJECTION,) * 64, (REJECTION,) * 65),
    (MANIFEST, "rejected", (Rejection(HASH, "p", "r" * 32),), (Rejection(HASH, "p", "r" * 33),)),
    (MANIFEST, "rejected", (Rejection(HASH, "p" * 64, ""),), (Rejection(HASH, "p" * 65, ""),)),
    (MANIFEST, "roster", (ENTRY,), ()),
    (MANIFEST, "roster", (ENTRY,) * 128, (ENTRY,) * 129),
    (MANIFEST, "roster", (RosterEntry("p" * 64, 0, 0, 0),), (RosterEntry("p" * 65, 0, 0, 0),)),
    (MANIFEST, "roster", (ENTRY,), (RosterEntry("", 0, 0, 0),)),
    (MANIFEST, "departed", (GONE,) * 128, (GONE,) * 129),
    (MANIFEST, "stop", "s" * 16, "s" * 17),
    (MANIFEST, "parts", bytes(512), bytes(513)),
    (SEAL, "group", 63, 64),
    (SEAL, "group", 0, -1),
    (SEAL, "payload_bytes", LARGEST_BLOB, LARGEST_BLOB + 1),
    (SEAL, "env_steps", LARGEST_COUNT, LARGEST_COUNT + 1),
    (SEAL, "weight", LARGEST_COUNT, LARGEST_COUNT + 1),
    (SEAL, "weight", 1, 0),
    (SEAL, "codec", "c" * 16, "c" * 17),
    (SEAL, "members", (MEMBER,), ()),
    (SEAL, "members", (MEMBER,) * 64, (MEMBER,) * 65),
    (SEAL, "members", (MEMBER,), (GroupMember(HASH[:31], HASH[:16], 0, 1, 0),)),
    (SEAL, "members", (MEMBER,), (GroupMember(HASH + b"h", HASH[:16], 0, 1, 0),)),
    (SEAL, "members", (MEMBER,), (GroupMember(HASH, HASH[:15], 0, 1, 0),)),
    (SEAL, "members", (MEMBER,), (GroupMember(HASH, HASH[:17], 0, 1, 0),)),
    (SEAL, "members", (MEMBER,), (GroupMember(HASH, HASH[:16], 0, 0, 0),)),
    (SEAL, "rejected", (REJECTION,) * 64, (REJECTION,) * 65),
    (TOP, "groups", (HASH,), ()),
    (TOP, "groups", (HASH,) * 64, (HASH,) * 65),
    (TOP, "rejected", (REJECTION,) * 64, (REJECTION,) * 65),
    (TOP, "stop", "s" * 16, "s" * 17),
    (TOP, "parts", bytes(512), bytes(513)),
    (REQUEST, "recent", (HASH,) * 64, (HASH,) * 65),
    (REQUEST, "headers", (HASH,) * 128, (HASH,) * 129),
    (REQUEST, "acks", (HASH,) * 128, (HASH,) * 129),
    (BLOB, "offset", LARGEST_BLOB, LARGEST_BLOB + 1),
    (BLOB, "offset", 0, -1),
    (BLOB, "length", LARGEST_BLOB, LARGEST_BLOB + 1),
    (BLOB, "length", 1, 0),
    (sync.SyncResponse(TIP, (), None), "messages", (b"",) * 512, (b"",) * 513),
    (sync.SyncResponse(TIP, (), None), "snapshot", OFFER, sync.SnapshotOffer(TIP, HASH, 0)),
    (sync.SyncResponse(TIP, (), None), "snapshot", OFFER, sync.SnapshotOffer(TIP, HASH, LARGEST_BLOB + 1)),
    (sync.PeersResponse(()), "cards", (b"",) * 32, (b"",) * 33),
    (sync.DialBackRequest(b""), "card", bytes(4 * KIB), bytes(4 * KIB + 1)),
    (sync.DialBackResponse((), ()), "tried", ("a" * 128,) * 8, ("a",) * 9),
    (sync.DialBackResponse((), ()), "tried", ("a" * 128,), ("a" * 129,)),
    (sync.DialBackResponse((), ()), "reached", ("a" * 128,) * 8, ("a",) * 9),
    (sync.RelayRequest(HASH, 1), "size", 64 * KIB * KIB, 64 * KIB * KIB + 1),
    (sync.RelayRequest(HASH, 1), "size", 1, 0),
    (admission.ChallengeAnswer(None, HASH, 0, ""), "refused", "r" * 256, "r" * 257),
    (admission.ChallengeAnswer(None, HASH, 0, ""), "proof", HASH, HASH[:31]),
    (admission.AllowListResponse(None), "data", bytes(256 * KIB), bytes(256 * KIB + 1)),
    (membership.Probe(None, ()), "target", "p" * 64, "p" * 65),
    (membership.Probe(None, ()), "statements", (STATEMENT,) * 8, (STATEMENT,) * 9),
    (membership.ProbeAnswer(True, ()), "statements", (STATEMENT,) * 8, (STATEMENT,) * 9),
    (proofs.ProofsRequest(()), "denied", ("p" * 64,) * 256, ("",) * 257),
    (proofs.ProofsResponse(()), "proofs", (proofs.ProofPair(b"", b""),) * 8, (proofs.ProofPair(b"", b""),) * 9),
    (
        proofs.ProofsResponse(()), "proofs",
        (proofs.ProofPair(bytes(60 * KIB), bytes(60 * KIB)),), (proofs.ProofPair(bytes(60 * KIB + 1), b""),),
    ),
    (CLAIM, "boot", LARGEST_COUNT, LARGEST_COUNT + 1),
    (CLAIM, "session", bytes(16), bytes(17)),
    (CLAIM, "against", bytes(16), bytes(15)),
    (CLAIM, "name", "n" * 32, "n" * 33),
    (CLAIM, "name", "peer-1", "peer-1\n"),
    (CLAIM, "name", "A-z_0.9", "a b"),
    (CLAIM, "addresses", ("a" * 128,) * 8, ("a",) * 9),
    (CLAIM, "addresses", ("a" * 128,), ("a" * 129,)),
    (CLAIM, "signature", bytes(64), bytes(65)),
]  # fmt: skip


def enveloped(kind: int, body: bytes) -> bytes:
    return msgspec.msgpack.encode((PROTOCOL_VERSION, RUN, kind, ME.peer_id, ME.session, body, bytes(64)))


def opened(data: bytes) -> object:
    """Take any signature for good: what it covers is checked in `test_envelope.py`."""
    return open_envelope(data, run=RUN, verify=lambda *_: True).message


def decoded(message_type: type, data: bytes) -> object:
    if message_type in KINDS:
        return opened(enveloped(KINDS[message_type][0], data))
    return OTHERS[message_type][0](data)


def taken(message: msgspec.Struct) -> object:
    if isinstance(message, sessions.Claim):  # travels within an answer
        return sessions.decode(sessions.encode(sessions.SessionAnswer(message)), sessions.SessionAnswer).claim
    return decoded(type(message), msgspec.msgpack.encode(message))


@pytest.mark.parametrize(("message", "field", "last", "beyond"), FIELDS, ids=lambda value: str(value)[:24])
def test_a_field_is_taken_up_to_its_bound_and_refused_beyond(
    message: msgspec.Struct, field: str, last: object, beyond: object
) -> None:
    good = msgspec.structs.replace(message, **{field: last})
    assert taken(good) == good
    with pytest.raises(ProtocolError) as caught:
        taken(msgspec.structs.replace(message, **{field: beyond}))
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize(
    "message", [CARD, HEADER, MANIFEST, SEAL, TOP, ACK, BLOB, REQUEST], ids=lambda m: type(m).__name__
)
def test_a_message_with_a_field_too_many_is_refused(message: msgspec.Struct) -> None:
    longer = msgspec.msgpack.encode([*msgspec.structs.astuple(message), 0])
    with pytest.raises(ProtocolError) as caught:
        decoded(type(message), longer)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("message_type", KINDS)
def test_an_envelope_is_looked_into_up_to_the_bound_of_its_kind_alone(message_type: type) -> None:
    kind, largest = KINDS[message_type]
    body_bytes = largest - (len(enveloped(kind, bytes(256))) - 256)
    for data, reason in (
        (enveloped(kind, bytes(body_bytes)), "malformed"),
        (enveloped(kind, bytes(body_bytes + 1)), "oversize"),
    ):
        with pytest.raises(ProtocolError) as caught:
            opened(data)
        assert caught.value.reason == reason


@pytest.mark.parametrize("message_type", OTHERS)
def test_bytes_are_looked_at_up_to_the_bound_of_their_message(message_type: type) -> None:
    decode, largest = OTHERS[message_type]
    for size, reason in ((largest, "malformed"), (largest + 1, "oversize")):
        with pytest.raises(ProtocolError) as caught:
            decode(b"\xc1" + bytes(size - 1))
        assert caught.value.reason == reason
