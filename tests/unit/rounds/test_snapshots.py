"""States pulled from others: whatever comes of one pull, the same state can be asked for again."""

from dataclasses import replace

import msgspec
import pytest

from peer.errors import ProtocolError
from peer.rounds.effects import FetchSnapshot, SnapshotApplied
from peer.rounds.snapshot import decode_snapshot, encode_snapshot
from peer.types import Digest
from peer.wire.envelope import expect, seal
from peer.wire.limits import MAX_COUNT, MAX_ROUND
from peer.wire.messages import Manifest
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
