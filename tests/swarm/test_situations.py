"""One situation each: what a user would try first to break a swarm."""

import hashlib

import numpy as np
import pytest

from peer.rounds import anti_entropy, snapshots
from peer.rounds.entry import Entry
from peer.rounds.rules import RoundRules
from peer.rounds.snapshot import encode_snapshot
from peer.types import Digest, ModelState
from peer.wire.hashing import digest_of, model_hash
from tests.swarm.judgement import (
    assert_bounded,
    assert_caught_up,
    assert_each_piece_once,
    assert_nobody_blamed,
)
from tests.swarm.machine_swarm import MachineSwarm
from tests.swarm.swarm_member import Faults, Member

RULES = RoundRules()
GOLDEN_MODEL = "8d88493155379d9818368cd18e0fabba"


def test_lone_peer_seals_its_own_rounds_and_finds_them_final() -> None:
    swarm = MachineSwarm(1, seed=1)
    swarm.run(30.0)
    assert swarm.members[0].machine.tip.round >= 12
    assert swarm.members[0].machine.final_round >= swarm.members[0].machine.tip.round - 1


@pytest.mark.parametrize("seed", range(10))
def test_killed_sealer_next_round_is_sealed_within_deadline_and_a_few_gaps(seed: int) -> None:
    swarm = MachineSwarm(4, seed=seed)
    swarm.run(12.0)
    sealer = swarm.by_id[swarm.members[0].machine.next_sealer()]
    before = max(member.machine.tip.round for member in swarm.alive)
    swarm.crash(sealer.number)
    swarm.run(RULES.train_s + RULES.grace_s + 5 * RULES.backup_gap_s)
    assert all(member.machine.tip.round > before for member in swarm.alive)
    assert swarm.conflicts == []


def test_on_links_as_slow_as_rounds_nobody_goes_on_alone() -> None:
    swarm = MachineSwarm(8, seed=2, faults=Faults(latency_s=1.0))
    swarm.run(90.0)
    newest = max((member.machine.tip for member in swarm.alive), key=lambda tip: tip.score)
    rounds = swarm.chain(newest)[1:]
    assert len(rounds) >= 10
    assert sum(len(entry.admitted) == 1 for entry in rounds) <= 1
    assert swarm.conflicts == []


@pytest.mark.parametrize("source", ["disk", "nothing"])
@pytest.mark.parametrize("seed", range(20))
def test_restarted_peer_is_admitted_within_two_rounds(seed: int, source: str) -> None:
    swarm = MachineSwarm(4, seed=seed)
    swarm.paced = True
    swarm.run(20.0)
    if source == "disk":
        swarm.save(0)
    swarm.crash(0)
    swarm.run(15.0)
    before = swarm.members[1].machine.tip.round
    swarm.start(0)
    swarm.run(12.0)
    later = [entry for entry in swarm.chain(swarm.members[1].machine.tip) if entry.round > before]
    admitted = [entry.round for entry in later if swarm.members[0].identity.peer_id in {h.peer for h in entry.headers}]
    assert admitted
    assert admitted[0] <= before + 2


def test_late_joiner_beyond_the_window_comes_in_by_snapshot_and_contributes() -> None:
    swarm = MachineSwarm(4, seed=3, late=1)
    swarm.run(40.0)
    assert swarm.members[0].machine.tip.round > 2 * RULES.history
    swarm.start(3)
    swarm.run(12.0)
    assert len(swarm.members[3].abandoned) == 1
    assert len(swarm.tips()) == 1 or swarm.agreed_round() >= swarm.members[0].machine.tip.round - 1
    assert any(h.peer == swarm.members[3].identity.peer_id for h in swarm.members[0].machine.tip.headers)


@pytest.mark.parametrize(("seed", "border"), [(seed, border) for seed in range(6) for border in (1, 2, 3)])
def test_forks_deeper_than_the_window_converge_to_one_chain(seed: int, border: int) -> None:
    swarm = MachineSwarm(5, seed=seed, faults=Faults(latency_s=0.05))
    swarm.run(6.0)
    swarm.rewire(lambda a, b: (a < border) != (b < border))
    swarm.run(60.0)
    assert len(swarm.tips()) >= 2
    swarm.rewire(lambda _a, _b: False)
    swarm.run(25.0)
    assert swarm.agreed_round() >= max(member.machine.tip.round for member in swarm.alive) - 1
    assert swarm.conflicts == []
    assert_each_piece_once(swarm)
    assert_bounded(swarm)


@pytest.mark.parametrize("border", [1, 2, 3])
def test_swarms_that_started_apart_merge_and_the_work_of_both_counts_once(border: int) -> None:
    apart = Faults(latency_s=0.05, blocked=lambda a, b: (a < border) != (b < border))
    swarm = MachineSwarm(5, seed=border, faults=apart)
    swarm.run(40.0)
    swarm.rewire(lambda _a, _b: False)
    swarm.run(25.0)
    assert sum(bool(member.abandoned) for member in swarm.members) in (border, 5 - border)
    assert swarm.agreed_round() >= max(member.machine.tip.round for member in swarm.alive) - 1
    assert_each_piece_once(swarm)
    assert_bounded(swarm)


def test_old_state_with_a_larger_roster_never_drags_the_swarm_back() -> None:
    swarm = MachineSwarm(5, seed=5)
    swarm.run(8.0)
    swarm.save(4)
    for number in (3, 4):
        swarm.crash(number)
    swarm.run(30.0)
    before = swarm.members[0].machine.tip.round
    swarm.start(4)
    swarm.run(10.0)
    assert all(not swarm.members[number].abandoned for number in (0, 1, 2))
    assert swarm.agreed_round() > before


class SolvedSwarm(MachineSwarm):
    """Peers measure a return that grows with the round and passes the goal in round 6."""

    def eval_return(self, member: Member) -> float | None:
        return float(member.machine.tip.round * 10)


@pytest.mark.parametrize("seed", range(8))
def test_goal_reached_all_peers_end_with_the_measured_model_also_those_behind(seed: int) -> None:
    swarm = SolvedSwarm(
        5, seed=seed, rules=RoundRules(stop_return=60.0), faults=Faults(loss=0.1, latency_s=0.05), late=1
    )
    swarm.after(15.0, lambda: swarm.pause(1, 15.0))
    swarm.after(25.0, lambda: swarm.start(4))
    swarm.run(60.0)
    tip = swarm.members[0].machine.tip
    assert [member.machine.finished for member in swarm.members] == [True] * 5
    assert swarm.tips() == {tip.digest}
    assert tip.stop == "return"
    assert tip.model == swarm.chain(tip)[-2].model, "the model that was measured is kept"
    assert all(member.machine.members_finished() for member in swarm.members)


@pytest.mark.parametrize("flat_peers", [48, 4], ids=["flat", "in groups"])
def test_corrupted_state_is_noticed_named_and_repaired_by_snapshot(flat_peers: int) -> None:
    swarm = MachineSwarm(5, seed=2, rules=RoundRules(flat_peers=flat_peers))
    swarm.run(10.0)
    victim = swarm.members[2]
    entry = victim.machine.tip
    assert entry.state is not None
    params = entry.state.params.copy()
    params[5] += np.float32(1e-3)  # a flipped bit in memory
    entry.state = ModelState(params=params, moments=entry.state.moments)
    swarm.run(20.0)
    assert {effect.parts for effect in victim.differs} == {("bias",)}
    assert len(victim.abandoned) >= 1
    assert swarm.agreed_round() >= swarm.members[0].machine.tip.round - 1
    assert victim.machine.tip.state is not None
    assert model_hash(victim.machine.tip.state) == victim.machine.tip.model
    assert all(not member.abandoned for member in swarm.members if member is not victim)


@pytest.mark.parametrize("seed", range(3))
def test_peer_whose_state_is_wrong_reloads_within_a_round_and_seals_no_second_on_it(seed: int) -> None:
    swarm = MachineSwarm(5, seed=seed)
    swarm.run(10.0)
    victim = swarm.members[2]
    entry = victim.machine.tip
    assert entry.state is not None
    drifted = entry.state.params + np.float32(1e-3)
    entry.state = ModelState(params=drifted.astype(np.float32), moments=entry.state.moments)
    swarm.run(4.0)
    assert len(victim.abandoned) == 1, "later it would come over to a chain that has outscored its own"
    assert [effect.repairing for effect in victim.differs][-1]
    own = [sealed for sealed in swarm.entries.values() if sealed.sealer == victim.identity.peer_id]
    assert sum(sealed.round > entry.round for sealed in own) <= 1
    assert victim.machine.tip.digest in {line.digest for line in swarm.members[0].machine.line()}


def test_long_run_tables_do_not_grow() -> None:
    swarm = MachineSwarm(4, seed=9, faults=Faults(loss=0.1, latency_s=0.05))
    swarm.run(60.0)
    early = [sizes(member) for member in swarm.members]
    swarm.run(600.0)
    assert all(len(member.machine.tip.members) == 4 for member in swarm.members), "one swarm to the end"
    for before, member in zip(early, swarm.members, strict=True):
        assert all(now <= 3 * max(then, 12) for then, now in zip(before, sizes(member), strict=True))


def test_same_seed_gives_the_same_swarm_and_the_golden_model() -> None:
    first, second = (MachineSwarm(4, seed=7, faults=Faults(loss=0.05)) for _ in range(2))
    for swarm in (first, second):
        swarm.run(30.0)
    assert [entry.digest for entry in first.members[0].machine.line()] == [
        entry.digest for entry in second.members[0].machine.line()
    ]
    chain = first.chain(first.members[0].machine.tip)
    assert hashlib.sha256(b"".join(entry.model for entry in chain)).hexdigest()[:32] == GOLDEN_MODEL


def sizes(member: Member) -> list[int]:
    """Return the length of every container that a machine holds, wherever it is."""
    found: list[int] = []
    machine = member.machine
    for part in (machine._ledger, machine._company, machine._round, machine._follower, machine._follower._voter,
                 machine._finality, machine._finality._forbearance,
                 machine._inquiries, machine._fetches, machine._snapshots, machine._inbox,
                 machine._ledger.chain, machine._ledger.pool, machine._ledger.own, machine._ledger.own.deltas,
                 machine._ledger.payloads):  # fmt: skip
        found += [
            len(value)
            for name, value in sorted(vars(part).items())
            if isinstance(value, dict | set | list | frozenset) and name != "_verified"
        ]
    return found


@pytest.mark.parametrize("border", [1, 2, 3])
def test_strict_only_the_majority_goes_on_and_the_others_catch_up_with_all_their_work(border: int) -> None:
    swarm = MachineSwarm(5, seed=border, rules=RoundRules(partition="strict"), faults=Faults(latency_s=0.05))
    swarm.run(10.0)
    swarm.rewire(lambda a, b: (a < border) != (b < border))
    swarm.run(3.0)
    at_the_cut = [member.machine.tip.round for member in swarm.members]
    swarm.run(40.0)
    gained = [member.machine.tip.round - before for member, before in zip(swarm.members, at_the_cut, strict=True)]
    minority = range(border) if border < 3 else range(border, 5)
    for member in swarm.members:
        if member.number in minority:
            assert gained[member.number] <= 1, "headers that crossed before the cut may seal one round more"
            assert member.machine._round.is_paused()
        else:
            assert gained[member.number] >= 10
    swarm.rewire(lambda _a, _b: False)
    swarm.run(15.0)
    assert not any(member.machine._round.is_paused() for member in swarm.members)
    assert_caught_up(swarm)
    assert_each_piece_once(swarm)
    assert_nobody_blamed(swarm)


def test_a_slow_peer_stretches_the_rounds_only_until_it_is_known_to_be_late() -> None:
    """Its training takes 6 s where the others' take 2: only the first rounds end at the deadline; its work counts."""
    swarm = MachineSwarm(5, seed=3)
    swarm.members[4].speed = 3.0
    swarm.run(80.0)
    entries = swarm.chain(swarm.members[0].machine.tip)
    assert len(entries) >= 32
    admitted = [
        entry.round for entry in entries if swarm.members[4].identity.peer_id in {h.peer for h in entry.headers}
    ]
    assert len(admitted) >= 6
    assert_each_piece_once(swarm)


def test_who_asks_for_all_states_in_turn_has_a_few_of_them_made_again_each_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swarm = MachineSwarm(4, seed=3)
    swarm.run(30.0)
    machine = swarm.members[0].machine
    made: list[int] = []

    def noted(entry: Entry) -> bytes:
        made.append(entry.round)
        return encode_snapshot(entry)

    monkeypatch.setattr(snapshots, "encode_snapshot", noted)
    machine.blob(Digest(bytes(32)))
    names = list(machine._snapshots._names.values())
    assert len(made) == len(names) > 3, "one search for an unknown name names all states"
    served = [name for _ in range(20) for name in names if machine.blob(name) is not None]
    assert len(made) == len(names) + 8
    assert all(digest_of(machine.blob(name) or b"") == name for name in served[-3:]), "what was made last is served on"
    swarm.run(4.0)
    assert machine.blob(names[-1]) is not None, "a round later it is made again"


def test_any_peer_serves_the_snapshot_that_another_has_offered_also_rounds_later() -> None:
    """So a joiner whose donor dies in the middle goes on where it was, at whoever is left (`pull_blob`)."""
    swarm = MachineSwarm(4, seed=3)
    swarm.run(20.0)
    donor, *others = swarm.members
    asked = anti_entropy.empty_request(MachineSwarm(1, seed=1).members[0].machine._ledger)
    offer = donor.machine.answer_sync(asked).snapshot
    assert offer is not None
    data = donor.machine.blob(Digest(offer.blob))
    assert data is not None
    swarm.run(4.0)
    swarm.crash(0)
    for other in others:
        assert other.machine.tip.digest != offer.tip.digest, "the swarm went on meanwhile"
        assert other.machine.blob(Digest(offer.blob)) == data
        assert other.machine.blob(Digest(bytes(32))) is None
    swarm.run(60.0)
    late = [other.machine._snapshots for other in others]
    assert all(len(snapshots._data) <= 3 and len(snapshots._names) <= RULES.history + 2 for snapshots in late)
