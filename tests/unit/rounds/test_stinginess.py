"""What builds on a thin manifest makes up for it, and nothing that its sealer does alone (docs/adr/0079)."""

import pytest

from peer.rounds.entry import Entry
from peer.rounds.ledger import Ledger
from peer.rounds.stinginess import admitted_from
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
