"""What builds on a thin manifest, or who says that it is there, makes up for it; nothing that its sealer does alone."""

from collections.abc import Set

import pytest

from peer.network.identity import Identity
from peer.rounds.entry import Entry
from peer.rounds.ledger import Ledger
from peer.rounds.stinginess import admitted_from, is_outnumbered_by_rival
from peer.types import PeerId
from tests.swarm.machine_swarm import MachineSwarm
from tests.unit.rounds.made_up_manifests import LIAR, NOW, OTHER, successor


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
