"""States pulled from others: whatever comes of one pull, the same state can be asked for again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from peer.errors import ProtocolError
from peer.rounds.effects import FetchSnapshot, SnapshotApplied
from peer.rounds.snapshot import decode_snapshot, encode_snapshot
from peer.types import Digest
from peer.wire.envelope import expect, seal
from peer.wire.hashing import model_hash
from peer.wire.limits import MAX_COUNT, MAX_ROUND
from peer.wire.messages import Ack, Manifest
from peer.wire.sync import SyncResponse
from tests.swarm.machine_swarm import MachineSwarm
from tests.unit.services.chains import ME, RUN, SCHEMA, LoneChain


def test_of_two_states_pulled_from_one_peer_each_can_be_pulled_again_when_it_failed() -> None:
    """The donor moves on while the first is pulled, and offers the next; both come spoilt."""
    swarm = MachineSwarm(2, seed=1, late=1)
    donor, late = swarm.members[0], swarm.members[1]
    source = donor.identity.peer_id
    answers: list[SyncResponse] = []
    for _ in range(2):
        before = donor.machine.tip
        while donor.machine.tip is before or donor.machine.tip.round < 8:
            swarm.run(0.1)
        answers.append(donor.machine.answer_sync(late.machine.sync_request()))

    def pulled(answer: SyncResponse, now: float) -> list[Digest]:
        effects = late.machine.receive_sync(answer, source=source, now=now)
        return [Digest(effect.offer.blob) for effect in effects if isinstance(effect, FetchSnapshot)]

    first, second = (pulled(answer, 1.0)[0] for answer in answers)
    assert first != second
    for blob in (second, first):
        late.machine.receive_snapshot(blob, b"spoilt", source=source, now=2.0)
    assert [pulled(answer, 4.0) for answer in answers] == [[first], [second]]

    state = encode_snapshot(donor.machine.tip)
    effects = late.machine.receive_snapshot(second, state, source=source, now=5.0)
    assert any(isinstance(effect, SnapshotApplied) for effect in effects)


@pytest.mark.parametrize("counters", [{"round": MAX_ROUND}, {"score": MAX_COUNT}], ids=["round", "score"])
def test_a_state_from_which_rounds_could_not_go_on_is_refused(counters: dict[str, int]) -> None:
    chain = LoneChain()
    chain.seal()
    tip = chain.machine.tip
    assert tip.manifest is not None
    sealed = expect(tip.manifest, Manifest)
    assert decode_snapshot(encode_snapshot(tip), run=RUN, schema=SCHEMA).digest == tip.digest
    header = msgspec.structs.replace(tip.headers[0].message, round=counters.get("round", tip.round))
    changes = {"admitted": (seal(header, ME, run=RUN).data,), **counters}
    made_up = seal(msgspec.structs.replace(sealed.message, **changes), ME, run=RUN)
    data = encode_snapshot(replace(tip, manifest=made_up))
    with pytest.raises(ProtocolError, match="counters out of range"):
        decode_snapshot(data, run=RUN, schema=SCHEMA)


FORMAT, MANIFEST, PARAMS, MOMENTS, OUTER = range(5)
HASH = b"h" * 32
NAN = np.float32(np.nan).tobytes()
INFINITE = np.float64(np.inf).tobytes()
WITH_OUTER = replace(SCHEMA, num_outer=4)


def fields_of_a_state() -> list[Any]:  # Any: a number and bytes
    chain = LoneChain()
    chain.seal()
    tip = chain.machine.tip
    assert tip.manifest is not None
    assert tip.state is not None
    state = replace(tip.state, outer=np.ones(4, np.float32))
    manifest = msgspec.structs.replace(expect(tip.manifest, Manifest).message, model=model_hash(state))
    data = encode_snapshot(replace(tip, manifest=seal(manifest, ME, run=RUN), state=state))
    fields: list[Any] = msgspec.msgpack.decode(data)
    return fields


def flipped(data: bytes) -> bytes:
    return data[:2] + bytes([data[2] ^ 1]) + data[3:]


@pytest.mark.parametrize(
    ("field", "change", "reason"),
    [
        (FORMAT, lambda number: number + 1, "version"),
        (MANIFEST, lambda data: data[:-1] + bytes([data[-1] ^ 1]), "bad_signature"),
        (MANIFEST, lambda _: seal(Ack(1, HASH, HASH, HASH, 0), ME, run=RUN).data, "malformed"),
        (MANIFEST, lambda data: data + b"x", "malformed"),
        (PARAMS, lambda data: data[:-4], "schema"),
        (PARAMS, lambda data: data + bytes(4), "schema"),
        (PARAMS, lambda data: flipped(data), "model_hash"),
        (PARAMS, lambda data: data[:-4] + NAN, "not_finite"),
        (MOMENTS, lambda data: data[:-8], "schema"),
        (MOMENTS, lambda data: flipped(data), "model_hash"),
        (MOMENTS, lambda data: data[:-8] + INFINITE, "not_finite"),
        (OUTER, lambda data: data + bytes(4), "schema"),
        (OUTER, lambda data: flipped(data), "model_hash"),
        (OUTER, lambda data: NAN + data[4:], "not_finite"),
    ],
)
def test_a_state_that_is_not_the_one_its_manifest_names_is_refused(
    field: int,
    change: Callable[[Any], object],
    reason: str,  # Any: as above
) -> None:
    fields = fields_of_a_state()
    assert decode_snapshot(msgspec.msgpack.encode(fields), run=RUN, schema=WITH_OUTER).round == 1
    spoilt = [change(value) if at == field else value for at, value in enumerate(fields)]
    with pytest.raises(ProtocolError) as caught:
        decode_snapshot(msgspec.msgpack.encode(spoilt), run=RUN, schema=WITH_OUTER)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("num_bytes", "reason"), [(0, "malformed"), (1, "oversize")])
def test_a_state_is_looked_at_up_to_the_bound_of_its_model(num_bytes: int, reason: str) -> None:
    largest = 4 * (4 + 4) + 24 * 2 + 60 * 1024 + 4 * 1024 * 1024 + 64
    with pytest.raises(ProtocolError) as caught:
        decode_snapshot(b"\xc1" + bytes(largest - 1 + num_bytes), run=RUN, schema=WITH_OUTER)
    assert caught.value.reason == reason
