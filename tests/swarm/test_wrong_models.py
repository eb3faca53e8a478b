"""Models and states that are not what the deltas give: nobody follows them, unless a majority has them."""

import pytest

from peer.network.identity import Identity
from peer.rounds.effects import ModelDiffers, Publish
from peer.rounds.entry import Entry
from peer.rounds.machine import RoundMachine
from peer.rounds.snapshot import encode_snapshot
from peer.wire.envelope import Signed, seal
from peer.wire.hashing import digest_of
from peer.wire.messages import Ack, DeltaHeader
from peer.wire.sync import SnapshotOffer, SyncResponse, Tip
from tests.swarm.liar import PAYLOAD, SOURCE, header, manifest, refusals
from tests.swarm.machine_swarm import RUN


def two_authors(tip: Entry) -> list[Signed[DeltaHeader]]:
    """Return headers of two of the three members: enough for a manifest to be looked at (docs/adr/0076)."""
    other = seal(header(tip).message, Identity.for_tests(3), run=RUN)
    return sorted([header(tip), other], key=lambda signed: signed.peer)


def test_manifest_with_a_wrong_model_is_distrusted_and_never_followed(machine: RoundMachine) -> None:
    tip = machine.tip
    for signed in two_authors(tip):
        machine.receive(signed.data, payload=PAYLOAD, source=SOURCE, now=15.3)
    wrong = manifest(tip, two_authors(tip))
    effects = machine.receive(wrong.data, payload=None, source=SOURCE, now=15.3)
    assert isinstance(effects[0], ModelDiffers)
    assert effects[0].parts == (), "the hints are no more trustworthy than the rest"
    assert machine.tip is tip
    assert not machine._follower.repairing
    assert machine.receive(wrong.data, payload=None, source=SOURCE, now=15.3) == []


@pytest.mark.parametrize("first", ["manifest", "votes"])
def test_own_state_is_distrusted_once_a_majority_got_the_other_model(machine: RoundMachine, first: str) -> None:
    tip = machine.tip
    for signed in two_authors(tip):
        machine.receive(signed.data, payload=PAYLOAD, source=SOURCE, now=15.3)
    wrong = manifest(tip, two_authors(tip))
    vote = Ack(tip.round + 1, tip.digest, wrong.digest, wrong.message.model, tip.round)
    said = [seal(vote, Identity.for_tests(number), run=RUN).data for number in (2, 3)]
    said.insert(0 if first == "manifest" else 2, wrong.data)
    told = [machine.receive(data, payload=None, source=SOURCE, now=15.3) for data in said]
    repairs = [[effect.repairing for effect in effects if isinstance(effect, ModelDiffers)] for effects in told]
    assert repairs == ([[False], [], [True]] if first == "manifest" else [[], [], [True]])
    assert machine.sync_request().recent == (), "it asks as if it held nothing, so that a snapshot is offered"
    assert not any(isinstance(effect, Publish) for effect in machine.tick(100.0)), "it seals nothing on a wrong state"


def test_snapshots_that_lie_are_refused(machine: RoundMachine) -> None:
    tip = machine.tip
    good = encode_snapshot(tip)
    offer = SnapshotOffer(Tip(b"t" * 32, 99, 999), digest_of(good), 1 << 29)
    response = SyncResponse(Tip(b"t" * 32, 99, 999), (), offer)
    assert refusals(machine.receive_sync(response, source=SOURCE, now=15.3)) == ["oversize"]
    for position in range(0, len(good), 7):
        spoilt = bytearray(good)
        spoilt[position] ^= 1
        assert len(refusals(machine.receive_snapshot(digest_of(good), bytes(spoilt), source=SOURCE, now=15.3))) == 1
    assert refusals(machine.receive_snapshot(digest_of(good), bytes(1 << 23), source=SOURCE, now=15.3)) == ["oversize"]
    assert machine.tip is tip
