"""A member that seals out of turn, with nobody's delta but its own (docs/adr/0076)."""

from collections.abc import Iterable
from unittest.mock import patch

import numpy as np
import pytest

from peer.aggregation.step import aggregator
from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds.effects import Publish
from peer.rounds.entry import Entry
from peer.rounds.group_sealer import seal_group
from peer.rounds.machine import LocalWork, Parts, RoundMachine
from peer.rounds.merging import BY_SCORE
from peer.rounds.rules import RoundRules
from peer.rounds.sealer import seal_round
from peer.types import Digest, ModelDelta, Moments
from peer.wire.envelope import seal
from peer.wire.messages import Ack, announcement
from tests.swarm.machine_swarm import RUN, SCHEMA, MachineSwarm
from tests.swarm.swarm_member import Member

RULES = RoundRules()
LAST_TURN_S = RULES.train_s + 2 * RULES.grace_s + 5 * RULES.backup_gap_s
HUGE = 2.0**15


class SwarmWithASealer(MachineSwarm):
    """Its last member trains as all do, but seals by itself alone: when `strike` is called, and at no other time."""

    def __init__(self, size: int, *, seed: int = 4, rules: RoundRules = RULES) -> None:
        super().__init__(size, seed=seed, rules=rules)
        self.run(25.3)
        self.sealer = self.members[-1]
        mute(self.sealer)

    def strike(self) -> Entry | None:
        """Announce some work of the sealer's, seal the round after its tip with nothing else, and go there."""
        member, machine, ledger = self.sealer, self.sealer.machine, self.sealer.machine._ledger
        sealed = machine._own_seals._rounds
        if machine.tip.digest in sealed:
            return None
        member.train_token += 1
        self._carry_out(member, machine.announce(self._work(member, machine.tip.digest), self.clock(member)))
        own = [header for header in ledger.candidates() if header.peer == ledger.me]
        with patch.object(ledger, "candidates", lambda: own):
            if ledger.grouping is not None:
                group, _ = seal_group(ledger)
                self._carry_out(member, [Publish(data=announcement(group.data, None))])
                with patch.object(ledger.group_candidates, "best", lambda: {group.message.group: group}):
                    entry = seal_round(ledger)
            else:
                entry = seal_round(ledger)
        sealed[machine.tip.digest] = None
        ledger.chain.add(entry)
        assert entry.manifest is not None
        moved = machine._move_to(entry, self.clock(member))
        self._carry_out(member, [Publish(data=announcement(entry.manifest.data, None)), *moved])
        return entry

    def strike_again_and_again(self, *, every_s: float) -> None:
        self.strike()
        self.after(every_s, lambda: self.strike_again_and_again(every_s=every_s))

    @property
    def honest(self) -> list[Member]:
        return self.members[:-1]

    def sealed_since(self, before: Entry) -> list[Entry]:
        """Return the rounds after `before` on the chain of an honest peer."""
        return [entry for entry in self.chain(self.honest[0].machine.tip) if entry.round > before.round]


def mute(member: Member) -> None:
    """Have a member seal nothing for the rest of its life."""
    patch.object(member.machine, "_seal_if_due", return_value=[]).start()


def authors(entries: Iterable[Entry]) -> list[int]:
    return [len(entry.admitted) for entry in entries]


@pytest.mark.parametrize(
    ("size", "rules"),
    [
        (3, RoundRules()),
        (5, RoundRules()),
        (13, RoundRules(merge=BY_SCORE)),
        (9, RoundRules(flat_peers=4, group_peers=3)),
    ],
    ids=["three", "five", "thirteen by score", "in groups"],
)
def test_a_member_that_seals_every_third_of_a_second_seals_nothing_that_counts(size: int, rules: RoundRules) -> None:
    swarm = SwarmWithASealer(size, rules=rules)
    before = swarm.honest[0].machine.tip
    swarm.strike_again_and_again(every_s=0.3)
    swarm.run(40.0)
    sealed = swarm.sealed_since(before)
    assert len(sealed) >= 12, "rounds of some 2 s"
    assert swarm.sealer.identity.peer_id not in {entry.sealer for entry in sealed[1:]}
    if rules.flat_peers >= size:  # a group's seal may leave its members out, see SECURITY.md
        assert min(authors(sealed)) >= size // 2 + 1
    assert all(member.machine.tip.round - member.machine.final_round <= 2 for member in swarm.honest)
    assert len({member.machine.tip.digest for member in swarm.honest}) == 1


def test_by_score_such_a_member_takes_five_over_by_a_state_with_a_higher_score() -> None:
    """What `majority` is for, here too."""
    swarm = SwarmWithASealer(5, rules=RoundRules(merge=BY_SCORE))
    before = swarm.honest[0].machine.tip
    swarm.strike_again_and_again(every_s=0.3)
    swarm.run(40.0)
    assert {entry.sealer for entry in swarm.sealed_since(before)[1:]} == {swarm.sealer.identity.peer_id}


class RobustSwarm(SwarmWithASealer):
    """Aggregates by multi-krum; its last member's delta is huge."""

    def _machine(self, identity: Identity, root: Entry, sequence: int, *, now: float) -> RoundMachine:
        parts = Parts(
            signer=identity, run=RUN, schema=SCHEMA, rules=self.rules, codecs=CODECS, codec="float32",
            aggregate=aggregator("multi-krum"),
        )  # fmt: skip
        return RoundMachine(parts, root=root, sequence=sequence, now=now)

    def huge_work(self, member: Member, base: Digest) -> LocalWork:
        work = super()._work(member, base)
        delta = ModelDelta(params=np.full(6, HUGE, np.float32), moments=Moments.empty(2))
        return LocalWork(**{**{name: getattr(work, name) for name in work.__slots__}, "delta": delta})


def test_a_robust_rule_is_not_undone_by_a_manifest_in_turn_that_admits_one_delta() -> None:
    swarm = RobustSwarm(13)
    me = swarm.sealer.identity.peer_id
    while len(swarm.tips()) > 1 or swarm.honest[0].machine.next_sealer() != me:
        swarm.run(0.05)
    before = swarm.honest[0].machine.tip
    with patch.object(swarm, "_work", swarm.huge_work):
        swarm.strike()
    swarm.run(20.0)
    assert len(swarm.sealed_since(before)) >= 5
    for member in swarm.honest:
        assert member.machine.tip.state is not None
        assert float(np.abs(member.machine.tip.state.params).max()) < 1.0


def test_while_nobody_else_seals_it_is_followed_after_the_last_backups_turn() -> None:
    swarm = SwarmWithASealer(5)
    for member in swarm.honest:
        mute(member)
    opened = max(member.machine._round.opened_at for member in swarm.honest)
    swarm.strike()
    swarm.run(opened + LAST_TURN_S - swarm.now - 0.1)
    sealed = swarm.sealer.machine.tip.digest
    assert swarm.tips() != {sealed}
    swarm.run(2.0)
    assert swarm.tips() == {sealed}


def test_what_most_electors_have_voted_for_is_followed_at_once() -> None:
    swarm = SwarmWithASealer(5)
    while len(swarm.tips()) > 1:
        swarm.run(0.05)
    machine, now = swarm.honest[0].machine, swarm.now
    entry = swarm.strike()
    assert entry is not None
    swarm.run(0.2)
    assert machine.tip.digest == entry.parent
    for number in (2, 3):
        vote = Ack(entry.round, entry.parent, entry.digest, entry.model, entry.round - 1)
        signed = seal(vote, Identity.for_tests(number, life=1), run=RUN)
        machine.receive(signed.data, payload=None, source=swarm.sealer.identity.peer_id, now=now + 0.2)
    assert machine.tip.digest == entry.digest


def test_a_run_of_them_never_outscores_a_manifest_with_twice_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no vote is known, and longer than any vote binds."""
    swarm = SwarmWithASealer(5, rules=RoundRules(history=50))
    while len(swarm.tips()) > 1:
        swarm.run(0.05)
    monkeypatch.setattr("peer.rounds.support.Decisions.is_decided", lambda *_, **__: False)
    machine = swarm.honest[0].machine
    first = swarm.strike()
    assert first is not None
    while machine.tip.digest == first.parent:
        swarm.run(0.05)
    for member in swarm.honest:
        mute(member)
    for _ in range(30):
        swarm.strike()
    swarm.run(1.0)
    ahead = machine._ledger.chain.get(swarm.sealer.machine.tip.digest)
    assert ahead is not None
    assert ahead.score > machine.tip.score + 20
    swarm.run(2 * RULES.grace_s)
    assert first.digest not in {entry.digest for entry in machine.line()}


def test_half_of_those_at_hand_are_enough() -> None:
    """What a sealer may leave out, and what SECURITY.md says of it."""
    swarm = SwarmWithASealer(6)
    while len(swarm.tips()) > 1:
        swarm.run(0.05)
    ledger, machine = swarm.sealer.machine._ledger, swarm.honest[0].machine
    while not all(len(member.machine._ledger.candidates()) == 6 for member in (swarm.sealer, swarm.honest[0])):
        mute_all(swarm)
        swarm.run(0.01)
    some = ledger.candidates()[:3]
    with patch.object(ledger, "candidates", lambda: some):
        entry = seal_round(ledger)
    assert entry.manifest is not None
    machine.receive(entry.manifest.data, payload=None, source=ledger.me, now=swarm.now)
    assert machine.tip.digest == entry.digest


def mute_all(swarm: MachineSwarm) -> None:
    for member in swarm.members:
        mute(member)
