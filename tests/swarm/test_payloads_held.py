"""A payload is held for what announces it: as many as there are headers and seals, whatever one peer sends."""

import tracemalloc

import numpy as np
import pytest

from peer.aggregation.step import aggregator
from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds.entry import genesis
from peer.rounds.machine import Parts, RoundMachine
from peer.rounds.rules import RoundRules
from peer.types import Digest, ModelDelta, ModelSchema, ModelState, Moments
from peer.wire.envelope import Signed, seal
from peer.wire.hashing import digest_of
from peer.wire.messages import DeltaHeader

RUN = b"r" * 16
NUM_PARAMS = 100_000
DELTA_BYTES = 4 * NUM_PARAMS
SCHEMA = ModelSchema(num_params=NUM_PARAMS, num_moments=2, digest=Digest(b"s" * 32))
EVIL = Identity.for_tests(2)
CODEC = CODECS["topk-int8+zstd"]


@pytest.fixture
def machine() -> RoundMachine:
    state = ModelState(params=np.zeros(NUM_PARAMS, np.float32), moments=Moments.empty(2))
    parts = Parts(
        signer=Identity.for_tests(1), run=RUN, schema=SCHEMA, rules=RoundRules(), codecs=CODECS, codec="int8+zstd",
        aggregate=aggregator("clipped-mean"),
    )  # fmt: skip
    root = genesis(RUN, SCHEMA, Digest(b"c" * 32), state)
    machine = RoundMachine(parts, root=root, sequence=0, now=0.0)
    machine.reachable(frozenset({EVIL.peer_id}), 0.0)
    machine.start(0.0)
    return machine


def payload_of(number: int) -> bytes:
    """A few hundred bytes that decode to a whole delta."""
    params = np.zeros(NUM_PARAMS, np.float32)
    params[number] = 1e-3
    return CODEC.encode(ModelDelta(params=params, moments=Moments.empty(2)))


def header(payload: bytes, *, base: Digest, sequence: int, round_number: int = 1) -> Signed[DeltaHeader]:
    message = DeltaHeader(
        round=round_number, base=base, sequence=sequence, payload=digest_of(payload), payload_bytes=len(payload),
        codec=CODEC.name, env_steps=5, weight=5, steps_per_s=100, l2_norm=1e-3, approx_kl=0.0, mean_return=None,
        eval_return=None, tasks=(),
    )  # fmt: skip
    return seal(message, EVIL, run=RUN)


def held(machine: RoundMachine) -> tuple[int, int]:
    """Return how many payloads are held, and how many of them decoded."""
    payloads = machine._ledger.payloads
    return len(payloads), len(payloads._deltas)


def test_work_announced_again_and_again_holds_the_memory_of_one_delta(machine: RoundMachine) -> None:
    mail = [
        (header(data, base=machine.tip.digest, sequence=n), data)
        for n, data in enumerate(map(payload_of, range(1, 100)))
    ]
    assert max(len(data) for _, data in mail) < 1024
    tracemalloc.start()
    try:
        for signed, data in mail:
            machine.receive(signed.data, payload=data, source=EVIL.peer_id, now=0.1)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held(machine) == (1, 1)
    assert grown < 4 * DELTA_BYTES
    assert machine._ledger.candidates() == [mail[-1][0]] == machine._ledger.pool.on_base(machine.tip.digest)


def test_headers_on_manifests_that_nobody_knows_hold_no_decoded_delta(machine: RoundMachine) -> None:
    for number in range(50):
        data = payload_of(number)
        signed = header(data, base=Digest(bytes([number]) * 32), sequence=number, round_number=9)
        machine.receive(signed.data, payload=data, source=EVIL.peer_id, now=0.1)
    num_payloads, num_decoded = held(machine)
    assert num_payloads <= 2
    assert num_decoded == 0


def test_a_header_that_is_not_taken_leaves_no_payload(machine: RoundMachine) -> None:
    newest = payload_of(0)
    machine.receive(
        header(newest, base=machine.tip.digest, sequence=9).data, payload=newest, source=EVIL.peer_id, now=0.1
    )
    for number in range(1, 9):
        data = payload_of(number)
        older = header(data, base=machine.tip.digest, sequence=number)
        machine.receive(older.data, payload=data, source=EVIL.peer_id, now=0.1)
    assert held(machine) == (1, 1)


def test_a_payload_that_comes_after_its_header_is_kept(machine: RoundMachine) -> None:
    data = payload_of(0)
    signed = header(data, base=machine.tip.digest, sequence=1)
    machine.receive(signed.data, payload=None, source=EVIL.peer_id, now=0.1)
    assert not machine._ledger.candidates()
    machine.receive(signed.data, payload=data, source=EVIL.peer_id, now=0.2)
    assert machine._ledger.candidates() == [signed]
