"""What is fuzzed: every function that turns bytes from the network into something, with examples to start from.

A target takes any bytes. It may raise `ProtocolError` and nothing else, and allocates no more than its bound.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from libp2p.custom_types import TProtocol

from peer.addresses import parse_tcp_address
from peer.admission.allow_list import AllowListFile, Authority, Listed, open_allow_list, signed
from peer.codec.codec import MAX_MAGNITUDE, Codec
from peer.codec.registry import make_codecs
from peer.errors import ProtocolError
from peer.native import NativeCodecKernels
from peer.network.discovery.book import AddressBook
from peer.network.gossip_frames import FrameReader, Kind, MessageId, encode_message, encode_names
from peer.network.identity import Identity
from peer.network.libp2p_negotiation import MAX_PROPOSALS, choose, proposal
from peer.network.transport import MAX_GOSSIP_BYTES
from peer.rounds.rules import RoundRules
from peer.rounds.sealed_rounds import decode_sealed, encode_sealed
from peer.rounds.snapshot import decode_snapshot, encode_snapshot, max_snapshot_bytes
from peer.types import Digest, ModelDelta, ModelSchema, Moments
from peer.wire import admission, membership, proofs, sessions
from peer.wire.admission import AllowListRequest, AllowListResponse, Challenge, ChallengeAnswer
from peer.wire.envelope import MAX_ENVELOPE_BYTES, open_envelope, seal
from peer.wire.limits import MAX_ALLOW_LIST_BYTES, MAX_CLAIM_BYTES, MAX_MANIFEST_BYTES, MAX_PROBE_BYTES
from peer.wire.membership import Probe, ProbeAnswer, StatementKind
from peer.wire.messages import (
    Ack,
    GroupMember,
    GroupSeal,
    PeerCard,
    Rejection,
    TopManifest,
    announcement,
    decode_announcement,
)
from peer.wire.proofs import ProofPair, ProofsRequest, ProofsResponse
from peer.wire.sessions import SessionAnswer, SessionQuestion
from peer.wire.sync import (
    BlobRequest,
    DialBackRequest,
    DialBackResponse,
    PeersResponse,
    RelayRequest,
    RelayResponse,
    SnapshotOffer,
    SyncRequest,
    SyncResponse,
    Tip,
    decode,
    encode,
)
from tests.unit.services import chains
from tests.unit.services.chains import LoneChain

RUN = b"r" * 16
HASH = Digest(b"h" * 32)
SCHEMA = ModelSchema(num_params=600, num_moments=3, digest=HASH)
_ME = Identity.for_tests(1)
_MARGIN = 64 * 1024
"""For the objects around the bytes: exceptions, tuples, arrays' headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """decode: raises ProtocolError or returns. max_bytes: bound on the input and so on what decoding may allocate."""

    decode: Callable[[bytes], object]
    examples: tuple[bytes, ...]
    max_bytes: int

    @property
    def max_allocated(self) -> int:
        return 4 * self.max_bytes + _MARGIN

    def __call__(self, data: bytes) -> None:
        try:
            self.decode(data)
        except ProtocolError:
            return


def targets() -> Mapping[str, Target]:
    """Return all targets by name."""
    tip = Tip(digest=HASH, round=3, score=5)
    offer = SnapshotOffer(tip=tip, blob=HASH, blob_bytes=100)
    codecs = {f"codec {name}": _codec(codec) for name, codec in make_codecs(NativeCodecKernels()).items()}
    return codecs | {
        "envelope": _envelope(),
        "announcement": _announcement(),
        "gossip frames": _gossip_frames(),
        "snapshot": _snapshot(),
        "large snapshot": _large_snapshot(),
        "sealed round": _sealed_round(),
        "sync request": _sync(SyncRequest, encode(SyncRequest(tip, (HASH,), (HASH,), acks=(), final=1))),
        "sync response": _sync(SyncResponse, encode(SyncResponse(tip=tip, messages=(b"abc",), snapshot=offer))),
        "blob request": _sync(BlobRequest, encode(BlobRequest(blob=HASH, offset=0, length=10))),
        "peers response": _sync(PeersResponse, encode(PeersResponse(cards=(b"abc",)))),
        "dial-back request": _sync(DialBackRequest, encode(DialBackRequest(card=b"abc"))),
        "dial-back response": _sync(DialBackResponse, encode(DialBackResponse(tried=("/a",), reached=("/a",)))),
        "relay request": _sync(RelayRequest, encode(RelayRequest(blob=HASH, size=10))),
        "relay response": _sync(RelayResponse, encode(RelayResponse(held=True))),
        "session question": _session(
            SessionQuestion, SessionQuestion(_ME.session, None), SessionQuestion(_ME.session, _claim())
        ),
        "session answer": _session(SessionAnswer, SessionAnswer(_claim())),
        "proofs request": _proofs(ProofsRequest, ProofsRequest((_ME.peer_id,))),
        "proofs response": _proofs(ProofsResponse, ProofsResponse((ProofPair(b"abc", b"def"),))),
        "challenge": _admission(Challenge, Challenge(HASH)),
        "challenge answer": _admission(ChallengeAnswer, ChallengeAnswer(HASH, Authority().policy(), 3, "no")),
        "allow-list request": _admission(AllowListRequest, AllowListRequest(3)),
        "allow-list response": _admission(AllowListResponse, AllowListResponse(b"abc"), AllowListResponse(None)),
        "allow-list": _allow_list(),
        "probe": _probe(membership.decode_probe, Probe),
        "probe answer": _probe(membership.decode_probe_answer, ProbeAnswer),
        "address": _address(),
        "negotiation": _negotiation(),
        "peer book": Target(decode=lambda data: AddressBook().load(data), examples=(_book(),), max_bytes=16 * 1024),
    }


def _claim() -> sessions.Claim:
    card = PeerCard(boot=1, name="peer-1", addresses=("/ip4/127.0.0.1/tcp/1",), config=HASH, schema=HASH)
    return sessions.make_claim(card, _ME, against=Identity.for_tests(1, life=1).session, run=RUN)


def _session(message_type: type, *examples: SessionQuestion | SessionAnswer) -> Target:
    encoded = tuple(sessions.encode(example) for example in examples)
    return Target(decode=lambda data: sessions.decode(data, message_type), examples=encoded, max_bytes=MAX_CLAIM_BYTES)


def _proofs(message_type: type, example: ProofsRequest | ProofsResponse) -> Target:
    return Target(
        decode=lambda data: proofs.decode(data, message_type), examples=(proofs.encode(example),), max_bytes=16 * 1024
    )


def _admission(
    message_type: type, *examples: Challenge | ChallengeAnswer | AllowListRequest | AllowListResponse
) -> Target:
    return Target(
        decode=lambda data: admission.decode(data, message_type),
        examples=tuple(admission.encode(example) for example in examples),
        max_bytes=MAX_ALLOW_LIST_BYTES,
    )


def _allow_list() -> Target:
    """With every signature taken for good, as in `_envelope`."""
    chief = Identity.for_tests(50)
    file = AllowListFile(run="run", version=2, peers=(Listed(_ME.peer_id, "peer-1", "trainer"),))
    return Target(
        decode=lambda data: open_allow_list(data, Authority(keys=(chief.peer_id,)), run="run", verify=lambda *_: True),
        examples=(signed(file, chief).text(),),
        max_bytes=MAX_ALLOW_LIST_BYTES,
    )


def _probe(decode_message: Callable[[bytes], Probe | ProbeAnswer], message_type: type) -> Target:
    """With its statements opened, as `_envelope`."""

    def opened(data: bytes) -> None:
        for statement in decode_message(data).statements:
            membership.open_statement(statement, run=RUN, verify=lambda *_: True)

    statements = [
        membership.make_statement(kind, _ME.peer_id, 3, signer=_ME, run=RUN)
        for kind in (StatementKind.ALIVE, StatementKind.SUSPECT)
    ]
    heads = (None, _ME.peer_id) if message_type is Probe else (True, False)
    examples = tuple(
        membership.encode_probe(message_type(head, membership.raw_statements(statements))) for head in heads
    )
    return Target(decode=opened, examples=examples, max_bytes=MAX_PROBE_BYTES)


def _address() -> Target:
    """As they stand on cards."""

    def parsed(data: bytes) -> None:
        try:
            parse_tcp_address(data.decode("utf-8"))
        except ValueError as error:  # UnicodeDecodeError is one
            raise ProtocolError("address", str(error)) from error

    texts = ("/ip4/192.0.2.7/tcp/4001", "/ip6/::1/tcp/1", f"/dns4/peer.example/tcp/1/p2p/{_ME.peer_id}")
    return Target(decode=parsed, examples=tuple(text.encode() for text in texts), max_bytes=4096)


def _negotiation() -> Target:
    """The lines by which the other end of a stream says what it wants of us."""
    served = TProtocol("/murmur/echo/1")

    def chosen(data: bytes) -> None:
        try:
            choose(_Said(data), {served: None}).send(None)  # type: ignore[arg-type]  # as much of a stream as it needs
        except StopIteration:
            return
        raise AssertionError("it waits for bytes that are there")

    again = proposal(served).removeprefix(b"\x13/multistream/1.0.0\n")
    return Target(decode=chosen, examples=(proposal(TProtocol("/other/1")) + again,), max_bytes=4096)


class _Said:
    """A stream on which everything has come in, and whose end is next. Nothing is ever waited for."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    @property
    def has_unread(self) -> bool:
        return bool(self._rest)

    async def read(self, n: int) -> bytes:
        part, self._rest = self._rest[:n], self._rest[n:]
        return part

    async def write(self, data: bytes) -> None:
        assert len(data) <= MAX_PROPOSALS * 128

    def hold(self, data: bytes) -> None:
        assert len(data) <= MAX_PROPOSALS * 128


def _book() -> bytes:
    book = AddressBook()
    book.answered(_ME.peer_id, "/ip4/192.0.2.7/tcp/1", unix_s=1)
    return book.encode()


def _codec(codec: Codec) -> Target:
    def decoded(data: bytes) -> None:
        delta = codec.decode(data, SCHEMA)
        assert np.isfinite(delta.params).all(), "NaN went through"
        assert np.abs(delta.params).max() <= MAX_MAGNITUDE, "an enormous value went through"
        assert (delta.moments.count >= 0).all()
        assert (delta.moments.m2 >= 0).all()

    rng = np.random.default_rng(1)
    moments = Moments(count=np.full(3, 2.0), mean=np.full(3, 0.5), m2=np.ones(3))
    deltas = [np.zeros(600), np.ones(600), rng.normal(size=600), rng.normal(size=600) * (rng.random(600) < 0.01)]
    examples = [codec.encode(ModelDelta(params=params.astype(np.float32), moments=moments)) for params in deltas]
    return Target(decode=decoded, examples=tuple(examples), max_bytes=codec.max_bytes(SCHEMA))


def example_envelopes(signer: Identity, *, run: bytes) -> tuple[bytes, ...]:
    """Return messages of several kinds that are well formed, and say nothing sensible."""
    card = PeerCard(boot=1, name="peer-1", addresses=("/ip4/127.0.0.1/tcp/1",), config=HASH, schema=HASH)
    ack = Ack(round=3, previous=HASH, manifest=HASH, model=HASH, after=2)
    return tuple(seal(message, signer, run=run).data for message in (card, ack, _group_seal(), _top_manifest()))  # type: ignore[type-var]  # one call a kind


def _envelope() -> Target:
    """Without the check of the signature, which nothing but the right bytes would ever pass."""
    return Target(
        decode=lambda data: open_envelope(data, run=RUN, verify=lambda *_: True),
        examples=example_envelopes(_ME, run=RUN),
        max_bytes=MAX_ENVELOPE_BYTES,
    )


def _group_seal() -> GroupSeal:
    member = GroupMember(key=HASH, header=HASH[:16], sequence=7, env_steps=100, steps_per_s=50)
    return GroupSeal(
        round=3, base=HASH, group=1, payload=HASH, payload_bytes=100, codec="float32", env_steps=100, weight=100,
        l2_norm=1.0, approx_kl=0.0, mean_return=1.0, eval_return=None, members=(member,),
        rejected=(Rejection(header=HASH, peer=_ME.peer_id, reason="norm"),),
    )  # fmt: skip


def _top_manifest() -> TopManifest:
    return TopManifest(
        round=3, previous=HASH, view=0, groups=(HASH, HASH), rejected=(), standing=HASH, score=5, env_steps=100,
        stop="", model=HASH, parts=HASH,
    )  # fmt: skip


def _large_snapshot() -> Target:
    """Of a roster that is not in the manifest but beside it."""
    chain = LoneChain(rules=RoundRules(flat_peers=0))
    chain.seal()
    chain.seal()
    return Target(
        decode=lambda data: decode_snapshot(data, run=chains.RUN, schema=chains.SCHEMA),
        examples=(encode_snapshot(chain.machine.tip),),
        max_bytes=max_snapshot_bytes(chains.SCHEMA),
    )


def _sealed_round() -> Target:
    chain = LoneChain(rules=RoundRules(flat_peers=0))
    chain.seal()
    examples = [encode_sealed(chain.machine.tip)]
    chain.seal()
    return Target(
        decode=lambda data: decode_sealed(data, run=chains.RUN),
        examples=(*examples, encode_sealed(chain.machine.tip)),
        max_bytes=MAX_MANIFEST_BYTES,
    )


def _gossip_frames() -> Target:
    names = [MessageId(bytes([n]) * 16) for n in range(3)]
    return Target(
        decode=lambda data: [frame.body for frame in FrameReader().feed(data)],
        examples=(
            encode_message(b"message"),
            encode_names(Kind.HAVE, names) + encode_names(Kind.WANT, names[:1]) + encode_message(b""),
        ),
        max_bytes=MAX_GOSSIP_BYTES,
    )


def _announcement() -> Target:
    examples = (announcement(b"envelope", b"payload"), announcement(b"envelope", None))
    return Target(decode=decode_announcement, examples=examples, max_bytes=4096)


def _snapshot() -> Target:
    chain = LoneChain()
    chain.seal()
    return Target(
        decode=lambda data: decode_snapshot(data, run=chains.RUN, schema=chains.SCHEMA),
        examples=(encode_snapshot(chain.machine.tip),),
        max_bytes=max_snapshot_bytes(chains.SCHEMA),
    )


def _sync(message_type: type, *examples: bytes) -> Target:
    return Target(decode=lambda data: decode(data, message_type), examples=examples, max_bytes=16 * 1024)
