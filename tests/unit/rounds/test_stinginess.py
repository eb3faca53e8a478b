"""What builds on a thin manifest, or who says that it is there, makes up for it; nothing that its sealer does alone."""

from collections.abc import Set
from dataclasses import replace

import msgspec
import pytest

from peer.network.identity import Identity
from peer.rounds.entry import Entry
from peer.rounds.ledger import Ledger
from peer.rounds.stinginess import admitted_from, is_outnumbered_by_rival
from peer.types import Digest, PeerId
from peer.wire.envelope import seal
from peer.wire.messages import Ack, RosterEntry
from tests.swarm.machine_swarm import MachineSwarm
from tests.unit.rounds.made_up_manifests import LIAR, NOW, OTHER, successor
from tests.unit.services.chains import RUN, LoneChain


@pytest.fixture
def ledger() -> Ledger:
    swarm = MachineSwarm(3, seed=4)
    swarm.run(NOW)
    return swarm.members[0].machine._ledger


def grown(ledger: Ledger) -> tuple[Entry, Entry]:
    """Add a manifest with one delta on the tip, and another peer's, also with one, on that."""
    thin = successor(ledger.tip, LIAR)
    ledger.chain.add(thin)
    later = successor(thin, OTHER)
    ledger.chain.add(later)
    return thin, later


def test_the_work_of_all_that_builds_on_a_manifest_counts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    thin, later = grown(ledger)
    monkeypatch.setattr(ledger.missing, "can_apply", lambda _entry: True)
    assert admitted_from(thin, ledger) == {LIAR.peer_id, OTHER.peer_id}
    assert admitted_from(later, ledger) == {OTHER.peer_id}


def test_what_could_not_be_applied_counts_for_nothing(ledger: Ledger) -> None:
    thin, _ = grown(ledger)
    assert admitted_from(thin, ledger) == {LIAR.peer_id}


def is_left_behind(ledger: Ledger, *, say_they_are_there: Set[PeerId]) -> bool:
    """Return whether a thin rival of the tip, all by one peer, is outnumbered by it."""
    parent = ledger.chain.get(ledger.tip.parent)
    assert parent is not None
    assert len(ledger.tip.admitted) == 3
    thin = successor(parent, LIAR)
    ledger.chain.add(thin)
    return is_outnumbered_by_rival(
        parent, [thin], ledger, lambda tips: frozenset(say_they_are_there if tips == {thin.digest} else ())
    )


def test_a_branch_is_outnumbered_though_its_sealer_says_it_is_there(ledger: Ledger) -> None:
    assert is_left_behind(ledger, say_they_are_there={LIAR.peer_id})


def test_a_branch_most_members_say_they_are_on_is_not_outnumbered(ledger: Ledger) -> None:
    assert not is_left_behind(ledger, say_they_are_there={LIAR.peer_id, OTHER.peer_id})


def test_strangers_that_say_they_are_on_a_branch_count_for_nothing(ledger: Ledger) -> None:
    strangers = {Identity.for_tests(number).peer_id for number in range(40, 45)}
    assert is_left_behind(ledger, say_they_are_there=strangers)


MEMBERS = [Identity.for_tests(number) for number in range(1, 9)]


STRANGERS = [PeerId(f"stranger {number}") for number in range(8)]


class Eight:
    """A round with eight on the roster, and manifests on it that admit so many of them."""

    def __init__(self) -> None:
        start = LoneChain()
        start.seal()
        members = sorted(member.peer_id for member in MEMBERS)
        roster = tuple(RosterEntry(member, 0, 50, 1) for member in members)
        self.root = replace(start.machine.tip, roster=roster, standing=None)
        self.ledger = LoneChain(self.root).machine._ledger
        self._names = 0

    def on(self, parent: Entry, admitted: int, *, others: int = 0) -> Entry:
        """Add a manifest that admits the first `admitted` members, and `others` whom nobody knows."""
        self._names += 1
        strangers = [RosterEntry(STRANGERS[number], 0, 50, 1) for number in range(others)]
        roster = [msgspec.structs.replace(e, missed=int(at >= admitted)) for at, e in enumerate(self.root.roster)]
        entry = replace(
            parent, round=parent.round + 1, digest=Digest(bytes([self._names]) * 32), parent=parent.digest,
            roster=(*roster, *strangers), standing=None,
        )  # fmt: skip
        self.ledger.chain.add(entry)
        return entry

    def is_outnumbered(self, *branch: Entry, there: int = 0, gone_there: int = 0, strangers: int = 0) -> bool:
        """there: the last so many members say that they are on it. gone_there: so many of those after the first."""
        members = [PeerId(entry.peer) for entry in self.root.roster]
        say = frozenset([*members[len(members) - there :], *members[1 : 1 + gone_there], *STRANGERS[:strangers]])
        return is_outnumbered_by_rival(self.root, branch, self.ledger, lambda _tips: say)


@pytest.mark.parametrize(
    ("admitted", "by_rivals", "outnumbered"),
    [
        (0, [1], False),
        (1, [1], False),
        (1, [2], True),
        (2, [3], False),
        (2, [4], True),
        (3, [5], False),
        (3, [6], True),
        (4, [8], True),
        (2, [1, 4, 2], True),
        (2, [], False),
    ],
)
def test_a_rival_outnumbers_with_two_or_more_and_twice_as_many(
    admitted: int, by_rivals: list[int], *, outnumbered: bool
) -> None:
    eight = Eight()
    thin = eight.on(eight.root, admitted)
    for count in by_rivals:
        eight.on(eight.root, count)
    assert eight.is_outnumbered(thin) is outnumbered


def test_strangers_in_a_manifest_count_for_nothing() -> None:
    eight = Eight()
    thin, stingy = eight.on(eight.root, 2), eight.on(eight.root, 1, others=5)
    eight.on(eight.root, 3, others=5)
    assert not eight.is_outnumbered(thin)
    assert eight.is_outnumbered(stingy)


@pytest.mark.parametrize(("there", "outnumbered"), [(2, True), (3, False)])
def test_those_who_say_that_they_are_there_count_with_those_whose_work_is(there: int, *, outnumbered: bool) -> None:
    eight = Eight()
    thin = eight.on(eight.root, 1)
    eight.on(eight.root, 6)
    assert eight.is_outnumbered(thin, there=there) is outnumbered


@pytest.mark.parametrize(
    ("admitted", "by_rival", "gone", "outnumbered"), [(0, 2, 1, False), (1, 6, 1, True), (1, 6, 2, False)]
)
def test_whose_work_a_rival_counts_speaks_for_it_no_more_after_going_over(
    admitted: int, by_rival: int, gone: int, *, outnumbered: bool
) -> None:
    eight = Eight()
    thin = eight.on(eight.root, admitted)
    eight.on(eight.root, by_rival)
    assert eight.is_outnumbered(thin, gone_there=gone) is outnumbered


@pytest.mark.parametrize(("named", "outnumbered"), [(3, True), (4, False)])
def test_strangers_on_a_branch_count_for_it_as_far_as_the_rival_names_them(named: int, *, outnumbered: bool) -> None:
    eight = Eight()
    thin = eight.on(eight.root, 0)
    eight.on(eight.root, 6, others=named)
    assert eight.is_outnumbered(thin, strangers=5) is outnumbered


def test_one_rival_outnumbers_whatever_another_names() -> None:
    eight = Eight()
    thin = eight.on(eight.root, 0)
    eight.on(eight.root, 1, others=5)
    eight.on(eight.root, 6)
    assert eight.is_outnumbered(thin, strangers=5)


def test_one_peer_in_a_rival_outnumbers_nobody_though_it_names_none_of_those_on_the_branch() -> None:
    eight = Eight()
    thin = eight.on(eight.root, 0)
    eight.on(eight.root, 2, others=5)
    eight.on(eight.root, 1)
    assert not eight.is_outnumbered(thin, strangers=5)


def test_strangers_in_a_rival_do_not_speak_for_it() -> None:
    eight = Eight()
    thin = eight.on(eight.root, 1)
    eight.on(eight.root, 2, others=5)
    assert not eight.is_outnumbered(thin, there=1)


@pytest.mark.parametrize(("later", "outnumbered"), [(3, True), (4, False)])
def test_work_in_what_builds_on_a_thin_manifest_counts(later: int, *, outnumbered: bool) -> None:
    eight = Eight()
    thin = eight.on(eight.root, 1)
    eight.on(eight.root, 6)
    assert eight.is_outnumbered(thin, eight.on(thin, later)) is outnumbered


def test_a_rival_that_could_not_be_applied_outnumbers_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    eight = Eight()
    thin, rival = eight.on(eight.root, 1), eight.on(eight.root, 6)
    monkeypatch.setattr(eight.ledger.missing, "can_apply", lambda entry: entry is not rival)
    assert not eight.is_outnumbered(thin)


@pytest.mark.parametrize(("votes", "outnumbered"), [(4, True), (5, False)])
def test_what_a_majority_has_decided_for_is_outnumbered_by_nobody(votes: int, *, outnumbered: bool) -> None:
    eight = Eight()
    thin = eight.on(eight.root, 1)
    eight.on(eight.root, 6)
    for voter in MEMBERS[:votes]:
        vote = Ack(thin.round, thin.parent, thin.digest, thin.model, thin.round - 1)
        eight.ledger.votes.add(seal(vote, voter, run=RUN))
    assert eight.is_outnumbered(thin) is outnumbered
