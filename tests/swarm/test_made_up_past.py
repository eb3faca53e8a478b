"""A member that signs a state of its own making, with a score that nobody earned (docs/adr/0071)."""

from dataclasses import replace

import numpy as np
import pytest

from peer.network.identity import Identity
from peer.rounds.entry import Entry, entry_of
from peer.rounds.manifest import build_manifest, outcome_of
from peer.rounds.merging import BY_MAJORITY, BY_SCORE, YOUNG_ROUNDS
from peer.rounds.rules import RoundRules
from peer.rounds.snapshot import encode_snapshot
from peer.types import PeerId
from peer.wire.envelope import seal
from peer.wire.hashing import digest_of, model_hash
from peer.wire.messages import Ack, DeltaHeader
from peer.wire.sync import SnapshotOffer, SyncRequest, SyncResponse, Tip
from tests.swarm.machine_swarm import RUN, MachineSwarm
from tests.swarm.swarm_member import Member

SIZE = 8
AHEAD = 50


def made_up(tip: Entry, liar: Identity) -> Entry:
    """Return a state that only `liar` has signed: far ahead, of another model, with a past that nobody can look up."""
    assert tip.state is not None
    past = replace(tip, round=tip.round + AHEAD, digest=digest_of(b"a past"), score=10**9, standing=None)
    own = DeltaHeader(
        round=past.round + 1, base=past.digest, sequence=1 << 40, payload=digest_of(b"work"), payload_bytes=72,
        codec="float32", env_steps=5, weight=5, steps_per_s=100, l2_norm=1.0, approx_kl=0.0, mean_return=None,
        eval_return=None, tasks=(),
    )  # fmt: skip
    headers = [seal(own, liar, run=RUN)]
    state = replace(tip.state, params=np.full_like(tip.state.params, 7.0))
    outcome, model = outcome_of(past, headers, RoundRules()), model_hash(state)
    body = build_manifest(past, headers, sealer=liar.peer_id, rejected=(), outcome=outcome, model=model, parts=bytes(8))
    entry = entry_of(seal(body, liar, run=RUN), tuple(headers))
    entry.state = state
    return entry


def lie(liar: Member, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """Have a member offer a made-up state, with its own vote for it, to whoever asks; return that state."""
    entry = made_up(liar.machine.tip, liar.identity)
    data = encode_snapshot(entry)
    told = Tip(entry.digest, entry.round, entry.score)
    vote = seal(Ack(entry.round, entry.parent, entry.digest, entry.model, entry.round - 1), liar.identity, run=RUN)
    blob = liar.machine.blob

    def answer(asked: SyncRequest, *, source: PeerId | None = None) -> SyncResponse:
        return SyncResponse(tip=told, messages=(vote.data,), snapshot=SnapshotOffer(told, digest_of(data), len(data)))

    monkeypatch.setattr(liar.machine, "answer_sync", answer)
    monkeypatch.setattr(liar.machine, "blob", lambda digest: data if digest == digest_of(data) else blob(digest))
    return entry


@pytest.fixture(params=range(3))
def swarm_of_eight(request: pytest.FixtureRequest) -> tuple[MachineSwarm, Member]:
    swarm = MachineSwarm(SIZE, seed=request.param, rules=RoundRules(merge=BY_MAJORITY))
    swarm.run(20.0)
    return swarm, swarm.members[-1]


def test_by_score_all_take_a_made_up_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `majority` is for."""
    swarm = MachineSwarm(SIZE, seed=1, rules=RoundRules(merge=BY_SCORE))
    swarm.run(20.0)
    forged = lie(swarm.members[-1], monkeypatch)
    swarm.run(20.0)
    assert all(member.machine.tip.score >= forged.score for member in swarm.members[:-1])


def test_by_majority_nobody_takes_a_made_up_state(
    swarm_of_eight: tuple[MachineSwarm, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm, liar = swarm_of_eight
    forged = lie(liar, monkeypatch)
    before = swarm.members[0].machine.tip.round
    swarm.run(150.0)  # two windows of rounds from when the last of them has heard it
    honest = [member.machine for member in swarm.members[:-1]]
    assert all(not member.abandoned for member in swarm.members[:-1])
    assert all(machine.tip.score < forged.score for machine in honest)
    assert {machine.tip.round for machine in honest} != {before}
    assert max(machine.tip.round - machine.final_round for machine in honest) <= 2, "the liar is waited for no more"


def test_two_halves_that_meet_take_no_state_that_one_member_made_up(
    swarm_of_eight: tuple[MachineSwarm, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither half is most of all, so that between the two the scores decide."""
    swarm, liar = swarm_of_eight
    swarm.rewire(lambda a, b: a % 2 != b % 2)
    swarm.run(20.0)
    honest = [member.machine for member in swarm.members[:-1]]
    assert len({machine.tip.digest for machine in honest}) > 1
    forged = lie(liar, monkeypatch)
    swarm.rewire(lambda _a, _b: False)
    swarm.run(30.0)
    assert all(machine.tip.score < forged.score for machine in honest)
    lines = [{entry.digest for entry in machine.line()} for machine in honest]
    assert set.intersection(*lines), "they have become one"


def test_a_joiner_that_met_the_liar_first_comes_over_to_the_swarm(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = MachineSwarm(SIZE, seed=2, late=1, rules=RoundRules(merge=BY_MAJORITY))
    swarm.run(20.0)
    liar, joiner = swarm.members[-2], swarm.members[-1]
    forged = lie(liar, monkeypatch)
    swarm.rewire(lambda a, b: joiner.number in (a, b) and liar.number not in (a, b))
    swarm.start(joiner.number)
    swarm.run(10.0)
    assert joiner.machine.tip.score >= forged.score, "it knows nothing better"
    swarm.rewire(lambda _a, _b: False)
    swarm.run(30.0)
    assert joiner.machine.tip.score < forged.score
    assert joiner.machine.tip.digest in {member.machine.tip.digest for member in swarm.members[:-2]} | {
        member.machine.tip.parent for member in swarm.members[:-2]
    }


@pytest.mark.parametrize(
    ("merge", "head_start_s", "wins"),
    [(BY_SCORE, 24.0, "old"), (BY_SCORE, 60.0, "old"), (BY_MAJORITY, 24.0, "old"), (BY_MAJORITY, 60.0, "large")],
)
def test_two_that_trained_for_long_meet_six_that_began_later(merge: str, head_start_s: float, wins: str) -> None:
    """By majority the six give way only while they are young."""
    swarm = MachineSwarm(SIZE, seed=3, late=6, rules=RoundRules(merge=merge))
    swarm.rewire(lambda a, b: (a < 2) != (b < 2))
    swarm.run(6 * head_start_s)
    for number in range(2, SIZE):
        swarm.start(number)
    swarm.run(head_start_s)
    tips = {"old": swarm.members[0].machine.tip, "large": swarm.members[-1].machine.tip}
    assert (tips["large"].round <= YOUNG_ROUNDS) == (head_start_s < 60)
    assert tips["old"].score > tips["large"].score + 2 * SIZE, "by score it is plain whose chain goes on"
    swarm.rewire(lambda _a, _b: False)
    swarm.run(30.0)
    lines = [{entry.digest for entry in swarm.chain(member.machine.tip)} for member in swarm.members]
    assert [name for name, tip in tips.items() if all(tip.digest in line for line in lines)] == [wins]


@pytest.mark.parametrize(("age_s", "is_taken"), [(20.0, True), (60.0, False)])
def test_a_stranger_with_a_made_up_past_takes_a_young_swarm_only(
    age_s: float, monkeypatch: pytest.MonkeyPatch, *, is_taken: bool
) -> None:
    """What is left of that attack, as SECURITY.md says: whoever is on the chain, or comes later, gets nowhere."""
    swarm = MachineSwarm(SIZE, seed=1, late=1, rules=RoundRules(merge=BY_MAJORITY))
    swarm.run(age_s)
    stranger, before = swarm.members[-1], swarm.members[0].machine.tip
    assert (before.round <= YOUNG_ROUNDS) == is_taken
    swarm.start(stranger.number)
    forged = lie(stranger, monkeypatch)
    swarm.run(30.0)
    honest = [member.machine for member in swarm.members[:-1]]
    assert {machine.tip.score >= forged.score for machine in honest} == {is_taken}
    assert min(machine.final_round for machine in honest) > before.round
