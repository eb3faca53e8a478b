"""States pulled from others: whatever comes of one pull, the same state can be asked for again."""

from peer.rounds.effects import FetchSnapshot, SnapshotApplied
from peer.rounds.snapshot import encode_snapshot
from peer.types import Digest
from peer.wire.sync import SyncResponse
from tests.swarm.machine_swarm import MachineSwarm


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
