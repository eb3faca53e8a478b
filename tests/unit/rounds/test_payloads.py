"""Payloads of the window stay as bytes; decoded are those near the tip alone, and others again when they are needed."""

import msgspec
import numpy as np
import pytest

from peer.codec.registry import CODECS
from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.rounds.payloads import PayloadStore
from peer.rounds.pure_work import PureWork
from peer.rounds.rules import RoundRules
from peer.types import Digest, ModelDelta, ModelSchema, Moments
from peer.wire.envelope import SignedDelta, run_id_of, seal
from peer.wire.hashing import digest_of
from peer.wire.messages import DeltaHeader
from tests.swarm.machine_swarm import MachineSwarm

SCHEMA = ModelSchema(digest=Digest(b"s" * 32), num_params=600, num_moments=2)
DELTA = ModelDelta(params=np.linspace(-1.0, 1.0, 600, dtype=np.float32), moments=Moments.empty(2))
PAYLOAD = CODECS["int8"].encode(DELTA)


def header(payload: bytes = PAYLOAD) -> SignedDelta:
    message = DeltaHeader(
        round=1, base=b"b" * 32, sequence=1, payload=digest_of(payload), payload_bytes=len(payload), codec="int8",
        env_steps=5, weight=5, steps_per_s=100, l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None,
        tasks=(),
    )  # fmt: skip
    return seal(message, Identity.for_tests(1), run=run_id_of("payloads", 0))


@pytest.fixture
def store() -> PayloadStore:
    store = PayloadStore(dict(CODECS), SCHEMA, PureWork())
    store.add(header(), PAYLOAD)
    return store


@pytest.mark.parametrize(
    ("data", "digest", "reason"),
    [
        (PAYLOAD[:-1], None, "payload_size"),
        (PAYLOAD + b"x", None, "payload_size"),
        (PAYLOAD[:-1] + bytes([PAYLOAD[-1] ^ 1]), None, "payload_hash"),
        (PAYLOAD, b"d" * 32, "payload_hash"),
    ],
    ids=["short", "long", "another", "hash told"],
)
def test_payload_that_is_not_the_one_declared_is_refused(data: bytes, digest: bytes | None, reason: str) -> None:
    store = PayloadStore(dict(CODECS), SCHEMA, PureWork())
    with pytest.raises(ProtocolError) as caught:
        store.add(header(), data, digest=digest)
    assert caught.value.reason == reason
    assert len(store) == 0
    store.add(header(), PAYLOAD, digest=digest_of(PAYLOAD))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weight": 6}, "bad_header"),
        ({"codec": "unknown"}, "codec"),
        ({"payload_bytes": CODECS["int8"].max_bytes(SCHEMA) + 1}, "payload_size"),
    ],
)
def test_header_that_announces_what_cannot_be_is_refused(changes: dict[str, object], reason: str) -> None:
    store = PayloadStore(dict(CODECS), SCHEMA, PureWork())
    message = msgspec.structs.replace(header().message, payload_bytes=CODECS["int8"].max_bytes(SCHEMA))
    store.check_header(message)
    with pytest.raises(ProtocolError) as caught:
        store.check_header(msgspec.structs.replace(message, **changes))
    assert caught.value.reason == reason


def test_payload_that_is_far_from_the_tip_stays_held_and_is_decoded_anew(store: PayloadStore) -> None:
    signed = header()
    first = store.delta(signed.message)
    store.forget(keep={signed.message.payload}, decoded=set())
    assert signed.message in store
    assert store.data(signed.message.payload) == PAYLOAD
    again = store.delta(signed.message)
    assert again is not first
    np.testing.assert_array_equal(again.params, first.params)
    np.testing.assert_array_equal(again.moments.mean, first.moments.mean)
    assert store.has_declared_norm(signed.message) == (float(np.linalg.norm(first.params)) == pytest.approx(1.0))


def test_payload_near_the_tip_is_decoded_once(store: PayloadStore) -> None:
    signed = header()
    first = store.delta(signed.message)
    store.forget(keep={signed.message.payload}, decoded={signed.message.payload})
    assert store.delta(signed.message) is first


def test_payload_that_is_forgotten_is_not_held(store: PayloadStore) -> None:
    signed = header()
    store.forget(keep=set(), decoded=set())
    assert signed.message not in store
    assert store.data(signed.message.payload) is None
    with pytest.raises(KeyError):
        store.delta(signed.message)


@pytest.mark.parametrize("rules", [RoundRules(), RoundRules(flat_peers=3, group_peers=3)], ids=["flat", "groups"])
def test_a_machine_holds_few_of_the_windows_deltas_decoded(rules: RoundRules) -> None:
    swarm = MachineSwarm(6, seed=5, rules=rules)
    swarm.run(40.0)
    for member in swarm.alive:
        payloads = member.machine._ledger.payloads
        assert 0 < 2 * len(payloads._deltas) < len(payloads)


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_what_a_codec_returns_does_not_keep_a_copy_of_the_payload_alive(codec: str) -> None:
    decoded = CODECS[codec].decode(CODECS[codec].encode(DELTA), SCHEMA)
    for values in (decoded.moments.count, decoded.moments.mean, decoded.moments.m2):
        owner = values
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        assert owner.base is None, "it owns its numbers"
