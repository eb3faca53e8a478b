"""Room in the tree of manifests: what is made up ends at its bounds, and what is honest finds its place beside it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

import pytest

from peer.network.identity import Identity
from peer.rounds.effects import Refused
from peer.rounds.entry import Entry
from peer.rounds.machine import RoundMachine
from peer.rounds.rules import RoundRules
from peer.types import PeerId
from peer.wire.envelope import seal
from peer.wire.hashing import digest_of
from peer.wire.messages import Ack
from tests.swarm.machine_swarm import RUN, MachineSwarm
from tests.unit.rounds.made_up_manifests import LIAR, NOW, OTHER, successor


@pytest.fixture
def machine() -> RoundMachine:
    swarm = MachineSwarm(3, seed=4)
    swarm.run(NOW)
    return swarm.members[0].machine


def hand(machine: RoundMachine, entry: Entry) -> list[tuple[str, PeerId]]:
    assert entry.manifest is not None
    effects = machine.receive(entry.manifest.data, payload=None, source=LIAR.peer_id, now=NOW)
    return [(effect.reason, effect.peer) for effect in effects if isinstance(effect, Refused)]


def waiting(machine: RoundMachine) -> list[Entry]:
    return [entry for entry in machine._ledger.chain if entry.state is None]


def grow(machine: RoundMachine, sealer: Callable[[], Identity], *, size: int) -> None:
    """Have a liar seal twice on the tip, twice on each of these, and so on."""
    parents = [machine.tip]
    for index in range(size // 2):
        for _ in range(2):
            parents.append(successor(parents[index], sealer(), author=LIAR))
            hand(machine, parents[-1])


def test_a_chain_that_runs_ahead_of_the_tip_ends_after_32_rounds(machine: RoundMachine) -> None:
    entry = machine.tip
    for _ in range(60):
        entry = successor(entry, LIAR)
        assert hand(machine, entry) == []
    assert {later.round for later in waiting(machine)} == set(range(machine.tip.round + 1, machine.tip.round + 33))


def test_one_member_has_64_manifests_in_the_tree_and_another_has_room_beside_them(machine: RoundMachine) -> None:
    grow(machine, lambda: LIAR, size=200)
    assert len(waiting(machine)) == 64
    honest = successor(machine.tip, OTHER)
    assert hand(machine, honest) == []
    assert honest.digest in machine._ledger.chain


def test_keys_that_a_liar_lets_in_are_at_its_expense(machine: RoundMachine) -> None:
    numbers = count(100)
    first = successor(machine.tip, LIAR)
    hand(machine, first)
    parents = [first]
    for index in range(100):
        guest = Identity.for_tests(next(numbers))
        parents.append(successor(parents[index // 2], guest))
        hand(machine, parents[-1])
    assert len(waiting(machine)) == 64
    own = successor(first, LIAR)
    assert hand(machine, own) == [], "who seals itself displaces its guests"
    assert len(waiting(machine)) == 64
    chain = [successor(machine.tip, OTHER)]
    for _ in range(30):
        chain.append(successor(chain[-1], OTHER))
    assert all(hand(machine, entry) == [] for entry in chain)
    assert {entry.digest for entry in chain} <= {entry.digest for entry in waiting(machine)}


def test_the_tree_is_bounded_in_sum_and_the_last_peer_has_its_share() -> None:
    swarm = MachineSwarm(8, seed=4)
    swarm.run(NOW)
    machine = swarm.members[0].machine
    for number in range(2, 8):
        grow(machine, partial(Identity.for_tests, number), size=80)
    assert len(waiting(machine)) == 256
    grow(machine, partial(Identity.for_tests, 8), size=80)
    counts = Counter(entry.sealer for entry in waiting(machine))
    assert sum(counts.values()) == 256
    assert counts[Identity.for_tests(8).peer_id] >= 256 // 7


def test_a_sealer_has_four_rivals_on_a_parent_whatever_the_session_and_is_named_for_the_fifth(
    machine: RoundMachine,
) -> None:
    """A process that seals, crashes and forgets may be back before the round is over, more than once."""
    rivals = [successor(machine.tip, Identity.for_tests(2, life=life)) for life in range(7)]
    refused = [hand(machine, rival) for rival in rivals]
    assert refused == [*4 * [[]], *3 * [[("too_many_rivals", LIAR.peer_id)]]]


def test_members_displace_outsiders_on_a_full_parent_and_a_refusal_blames_nobody(machine: RoundMachine) -> None:
    outsiders = [successor(machine.tip, Identity.for_tests(100 + number)) for number in range(17)]
    refused = [hand(machine, rival) for rival in outsiders]
    assert refused == [*16 * [[]], [("no_room", machine._ledger.me)]]
    honest = successor(machine.tip, OTHER)
    assert hand(machine, honest) == []
    assert honest.digest in machine._ledger.chain
    assert len(waiting(machine)) == 16


def test_what_a_majority_has_voted_for_finds_room_and_stays(machine: RoundMachine) -> None:
    for number in range(16):
        hand(machine, successor(machine.tip, Identity.for_tests(100 + number)))
    backed = successor(machine.tip, Identity.for_tests(200))
    for voter in (LIAR, OTHER):
        vote = Ack(backed.round, backed.parent, backed.digest, backed.model, 0)
        machine.receive(seal(vote, voter, run=RUN).data, payload=None, source=LIAR.peer_id, now=NOW)
    assert hand(machine, backed) == []
    for sealer in (LIAR, OTHER):
        for life in range(2):
            hand(machine, successor(machine.tip, Identity.for_tests(2 if sealer is LIAR else 3, life=life)))
    assert backed.digest in machine._ledger.chain
    assert len(waiting(machine)) == 16


def test_a_very_long_branch_is_looked_through_without_recursion(machine: RoundMachine) -> None:
    last = machine.tip
    for number in range(3000):
        digest = digest_of(b"%d" % number)
        last = replace(
            last, digest=digest, parent=last.digest, round=last.round + 1, score=last.score + 1, headers=(), state=None
        )
        machine._ledger.chain.add(last)
    assert machine._follower.best(NOW) is last


def with_a_long_window(size: int) -> MachineSwarm:
    return MachineSwarm(size, seed=4, rules=RoundRules(history=100))


def test_a_peer_that_was_away_for_more_rounds_than_the_bound_replays_them_all() -> None:
    swarm = with_a_long_window(3)
    swarm.run(NOW)
    swarm.save(2)
    swarm.crash(2)
    swarm.run(160.0)
    away = swarm.members[0].machine.tip.round - 7
    swarm.start(2)
    swarm.run(10.0)
    back = swarm.members[2]
    assert away > 60
    assert back.machine.tip.round >= away + 7
    assert (back.abandoned, back.refused) == ([], [])


def test_two_sides_with_long_branches_become_one_without_a_snapshot() -> None:
    swarm = with_a_long_window(5)
    swarm.run(NOW)
    swarm.faults.blocked = lambda a, b: (a < 2) != (b < 2)
    swarm.connect_all()
    swarm.run(100.0)
    parted = min(member.machine.tip.round for member in swarm.members)
    swarm.faults.blocked = lambda _a, _b: False
    swarm.connect_all()
    swarm.run(20.0)
    assert parted > 7 + 32
    assert swarm.agreed_round() > parted
    assert [(member.abandoned, member.refused) for member in swarm.members] == 5 * [([], [])]
