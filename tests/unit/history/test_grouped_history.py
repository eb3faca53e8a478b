"""`murmur log` of a large swarm: its rounds are sealed in groups, and what counts is in the group seals."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from peer import round_parts
from peer.history.contributions import sum_up
from peer.history.objects import record_object
from peer.history.places import find_run
from peer.history.record import Record, read_records
from peer.history.text import record_lines
from peer.history.verify import verify_run
from peer.storage.journal import Journal, JournalEntry
from peer.storage.journal_reader import open_journal_reader
from peer.telemetry.names import NameBook
from tests.unit.history.sealed_run import CONFIG, ME, OTHER, make_run
from tests.unit.storage.journals import held

ROUNDS = 8


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run by rules under which two peers are a large swarm, of one peer a group."""
    plain = round_parts.round_rules
    monkeypatch.setattr(round_parts, "round_rules", lambda config: replace(plain(config), flat_peers=1, group_peers=1))
    return make_run(tmp_path / "slot-0", rounds=ROUNDS)


def records(folder: Path) -> list[Record]:
    with open_journal_reader(find_run(folder, slot=None, run=None).journal) as journal:
        return list(read_records(journal.rows(newest_first=False), run=None))


def test_a_run_in_groups_is_good_from_the_settings_to_the_model_file(folder: Path) -> None:
    findings = verify_run(find_run(folder, slot=None, run=None), CONFIG)
    assert [str(problem) for problem in findings.problems] == []
    assert findings.unchecked == []
    assert findings.links == findings.models == list(range(1, ROUNDS + 1))
    assert findings.headers in (2 * ROUNDS - 1, 2 * ROUNDS - 2)
    assert findings.model_file


def test_contributions_are_read_off_the_group_seals(folder: Path) -> None:
    totals = sum_up(records(folder))
    by_peer = {row.peer: row.env_steps for row in totals.contributions}
    assert by_peer[ME.peer_id] == sum(100 * number for number in range(1, ROUNDS + 1))
    assert by_peer[OTHER.peer_id] > 0
    last = records(folder)[-1]
    lines = list(record_lines(last, NameBook(), oneline=False))
    assert "2 peers in 2 groups" in lines[0]
    assert sum(line.startswith("    group ") for line in lines) == 2
    shown = record_object(last, NameBook())
    assert {member["peer"] for group in shown["groups"] for member in group["members"]} == {ME.peer_id, OTHER.peer_id}


def test_a_group_seal_that_was_taken_out_of_the_journal_is_missed(folder: Path) -> None:
    place = find_run(folder, slot=None, run=None)
    victim = records(folder)[-1]
    assert victim.entry is not None
    journal = Journal(place.journal, max_bytes=1 << 24)
    (row,) = [entry for entry in held(place.journal) if entry.round == ROUNDS]
    cut = msgspec.msgpack.encode(msgspec.msgpack.decode(row.data)[:-1])
    journal.replace_from(
        ROUNDS, [JournalEntry(round=ROUNDS, digest=row.digest, data=cut)], previous=victim.entry.parent
    )
    journal.close()
    told = [str(problem) for problem in verify_run(place, CONFIG).problems]
    assert any("not those that it names" in problem for problem in told), told
