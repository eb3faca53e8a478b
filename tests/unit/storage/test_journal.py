"""The chain on disk: whole or absent, bounded, and never a wrong entry."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from peer.errors import StorageError
from peer.storage.journal import Journal, JournalEntry
from peer.storage.journal_database import MAX_SET_ASIDE, failure, is_damage
from peer.storage.journal_reader import JournalReader, open_journal_reader
from peer.types import Digest
from tests.unit.storage.bad_disks import FullDisk, ReadOnlyDisk
from tests.unit.storage.journals import append, held

MIB = 1 << 20

REPOSITORY = Path(__file__).parents[3]


def entry(number: int, branch: int = 0, size: int = 300) -> JournalEntry:
    data = random.Random(number * 1000 + branch).randbytes(size)
    return JournalEntry(round=number, digest=Digest(bytes([branch]) * 32), data=data)


def chain(first: int, last: int, branch: int = 0, size: int = 300) -> list[JournalEntry]:
    return [entry(number, branch, size) for number in range(first, last + 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_entries_survive_closing(path: Path) -> None:
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 5))
    journal.close()
    again = Journal(path, max_bytes=MIB)
    assert again.set_aside is None
    assert held(path) == chain(1, 5)
    again.close()


def test_new_journal_is_empty(path: Path) -> None:
    journal = Journal(path, max_bytes=MIB)
    assert held(path) == []
    journal.close()


def test_branch_replaces_everything_from_its_first_round_on(path: Path) -> None:
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 10))
    journal.replace_from(7, chain(7, 8, branch=1))
    assert held(path) == chain(1, 6) + chain(7, 8, branch=1)
    journal.close()


def test_failed_replacement_changes_nothing(path: Path) -> None:
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 10))
    bad = JournalEntry(round=8, digest=Digest(bytes(32)), data=None)  # type: ignore[arg-type]  # a caller's bug
    with pytest.raises(sqlite3.IntegrityError):
        journal.replace_from(7, [entry(7, branch=1), bad])
    assert held(path) == chain(1, 10)
    append(journal, [entry(11)])
    assert held(path) == chain(1, 11)
    journal.close()


def test_size_is_bounded_and_the_newest_rounds_stay(path: Path) -> None:
    journal = Journal(path, max_bytes=MIB)
    for number in range(1, 1001):
        append(journal, [entry(number, size=5000)])
        if number % 50 == 0:
            total = sum(file.stat().st_size for file in path.parent.iterdir())
            assert total < MIB + 5 * MIB, "the file and its log"
    found = held(path)
    assert 50 < len(found) < 250
    assert found == chain(1001 - len(found), 1000, size=5000)
    journal.close()
    assert path.stat().st_size <= MIB + 65_536


def test_one_entry_beyond_the_bound_is_kept(path: Path) -> None:
    journal = Journal(path, max_bytes=MIB)
    append(journal, [entry(1)])
    append(journal, [entry(2, size=3 * MIB)])
    assert [entry.round for entry in held(path)] == [2]
    journal.close()


def test_killed_writer_loses_nothing_that_was_appended(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.storage.test_journal import *\n"
        "journal = Journal(Path(sys.argv[1]), max_bytes=MIB)\n"
        "for number in range(1, 10_000):\n"
        "    append(journal, [entry(number, size=30)]); print(number, flush=True)\n"
    )
    for target in (1, 20, 60):
        path.unlink(missing_ok=True)
        command = [sys.executable, "-c", program, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
            assert process.stdout is not None
            told = 0
            while told < target:
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        journal = Journal(path, max_bytes=MIB)
        found = held(path)
        assert journal.set_aside is None
        assert len(found) >= told
        assert found == chain(1, len(found), size=30)
        journal.close()
        for side in path.parent.glob("journal.db*"):
            side.unlink()


def test_any_damage_gives_true_entries_or_a_new_journal(path: Path) -> None:
    """Flip, cut, blank and replace bytes of the file 60 times; a wrong entry must never come out."""
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 100))
    journal.close()
    good, rng, set_aside = path.read_bytes(), random.Random(5), 0
    for _ in range(60):
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(damaged(good, rng))
        if rng.random() < 0.2:
            path.with_name("journal.db-wal").write_bytes(rng.randbytes(rng.randrange(9000)))
        journal = Journal(path, max_bytes=MIB)
        if journal.set_aside is None:
            assert held(path) == chain(1, 100)
        else:
            set_aside += 1
            assert journal.set_aside.exists()
            assert held(path) == []
        append(journal, [entry(101)])
        assert held(path)[-1] == entry(101)
        journal.close()
    assert set_aside > 30


def test_damage_that_sqlite_quotes_gives_a_new_journal(path: Path) -> None:
    """Its messages hold what it found instead of the name of a table, which may be no text."""
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 3))
    journal.close()
    good = path.read_bytes()
    begin = good.index(b"CREATE TABLE manifests")
    for place in range(begin - 40, begin + 88):
        path.write_bytes(good[:place] + bytes((good[place] ^ 0x80,)) + good[place + 1 :])
        with contextlib.suppress(StorageError), open_journal_reader(path) as reader:
            list(reader.rows(newest_first=False))
            reader.damage()
        journal = Journal(path, max_bytes=MIB)
        append(journal, [entry(4)])
        journal.close()


def damaged(good: bytes, rng: random.Random) -> bytes:
    data, start = bytearray(good), rng.randrange(len(good))
    match rng.randrange(5):
        case 0:
            data[start] ^= 1 << rng.randrange(8)
        case 1:
            del data[start:]
        case 2:
            data[start : start + 4096] = bytes(len(data[start : start + 4096]))
        case 3:
            return rng.randbytes(rng.randrange(5000))
        case _:
            data[rng.randrange(100)] = rng.randrange(256)
    return bytes(data)


def test_damage_outside_of_all_entries_is_noticed_before_anything_is_written_over_it(path: Path) -> None:
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 20))
    journal.close()
    content = bytearray(path.read_bytes())
    content[36:40] = (7).to_bytes(4, "big")  # pages that are free: there is none
    path.write_bytes(content)
    again = Journal(path, max_bytes=MIB)
    assert again.set_aside is not None
    assert held(path) == []
    again.close()


def test_damaged_journals_do_not_pile_up(path: Path) -> None:
    for _ in range(MAX_SET_ASIDE + 3):
        path.write_bytes(b"not a database at all" * 50)
        journal = Journal(path, max_bytes=MIB)
        assert journal.set_aside is not None
        journal.close()
    assert sorted(file.name for file in path.parent.glob("*.corrupt-*")) == [
        "journal.db.corrupt-4",
        "journal.db.corrupt-5",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE manifests (other INTEGER)",
        "PRAGMA user_version = 99",
        "CREATE VIEW manifests AS SELECT 1 AS round",
    ],
)
def test_database_of_another_program_or_version_is_moved_aside(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()
    journal = Journal(path, max_bytes=MIB)
    assert journal.set_aside == path.with_name("journal.db.corrupt-1")
    append(journal, [entry(1)])
    journal.close()


def test_full_disk_loses_no_round_that_was_there(full_disk: FullDisk) -> None:
    path = full_disk.folder / "journal.db"
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 3, size=50))
    full_disk.fill()
    with pytest.raises(StorageError, match=r"cannot (write|compact) .*/journal.db: "):
        append_one_by_one(journal, chain(4, 200, size=2000))
    full_disk.free()
    found = held(path)
    assert found[:3] == chain(1, 3, size=50)
    append(journal, [entry(len(found) + 1, size=50)])
    journal.close()
    again = Journal(path, max_bytes=MIB)
    assert again.set_aside is None
    assert held(path)[:-1] == found
    again.close()


def append_one_by_one(journal: Journal, entries: list[JournalEntry]) -> None:
    for each in entries:
        append(journal, [each])


def test_journal_that_may_not_be_written_is_told_as_that_too(path: Path) -> None:
    """SQLite has one word for a disk that is read-only and for a file of another user, as after a restore by root."""
    refused = sqlite3.OperationalError("attempt to write a readonly database")
    assert "let this user write it and what is beside it (chown, chmod), " in str(failure("open", path, refused))


@pytest.mark.parametrize("side", ["-wal", "-shm"])
def test_log_of_another_user_beside_a_journal_is_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    """To move the journal aside would be to delete the rounds in that log, as the folder may be written."""
    refused = sqlite3.OperationalError("attempt to write a readonly database")
    refused.sqlite_errorcode = sqlite3.SQLITE_READONLY
    files = [path, path.with_name(path.name + side)]
    for file in files:
        file.touch()
    assert is_damage(refused, path)
    monkeypatch.setattr(os, "access", lambda file, *_, **__: file != files[1])
    assert not is_damage(refused, path)


def test_read_only_disk_is_a_storage_error_and_nothing_is_moved(read_only_disk: ReadOnlyDisk) -> None:
    path = read_only_disk.folder / "journal.db"
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 3))
    journal.close()
    read_only_disk.protect()
    with pytest.raises(StorageError, match=r"cannot (open|write) .*/journal.db: "):
        append(Journal(path, max_bytes=MIB), [entry(4)])
    assert [file.name for file in read_only_disk.folder.glob("*.corrupt*")] == []


def test_missing_parent_is_created_and_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "deep" / "er" / "j.db", max_bytes=MIB).close()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"cannot open .*/folder: unable to open database file"):
        Journal(tmp_path / "folder", max_bytes=MIB)


def test_threads_take_turns(path: Path) -> None:
    journal = Journal(path, max_bytes=64 * MIB)

    def work(offset: int) -> None:
        for number in range(offset, 200, 4):
            journal.replace_from(number, [entry(number)])

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = held(path)
    assert found == [entry(each.round) for each in found]
    assert found[-1].round >= 196, "the last round of one of them"
    journal.close()
    assert os.listdir(path.parent) == ["journal.db"]  # noqa: PTH208  # names alone


def test_reader_that_stops_in_the_middle_lets_the_log_be_cut(path: Path) -> None:
    """As `murmur log | less` does, for hours: the log beside the file would take every round of them."""
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 100, size=3000))
    with open_journal_reader(path) as reader:
        rows = reader.rows(newest_first=True)
        assert next(rows).round == 100
        for number in range(101, 1000):
            append(journal, [entry(number, size=3000)])
        assert path.with_name(f"{path.name}-wal").stat().st_size < 8 * MIB
        assert [row.round for row in rows][:3] == [99, 98, 97]
    journal.close()


def test_held_reader_sees_the_journal_as_it_was(path: Path) -> None:
    journal = Journal(path, max_bytes=MIB)
    append(journal, chain(1, 100))
    with open_journal_reader(path) as reader:
        reader.hold_still()
        rows = reader.rows(newest_first=False)
        assert next(rows).round == 1
        journal.replace_from(50, chain(50, 60))
        assert [row.round for row in rows] == list(range(2, 101))
    journal.close()


@pytest.mark.parametrize("held_still", [False, True])
def test_peer_that_is_started_under_a_readers_eyes_makes_the_journal_look_damaged_to_nobody(
    path: Path, *, held_still: bool
) -> None:
    journal = Journal(path, max_bytes=4 * MIB)
    append(journal, chain(1, 1200, size=2000))
    journal.close()
    with open_journal_reader(path) as reader:
        if held_still:
            reader.hold_still()
        rows = reader.rows(newest_first=False)
        next(rows)
        journal = Journal(path, max_bytes=MIB)
        append(journal, chain(1201, 2000, size=2000))
        found = list(rows)
        assert all(row.intact for row in found)
        assert found[-1].round == 2000
        assert reader.damage() is None
    journal.close()


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE VIEW manifests AS {ENDLESS} SELECT x AS round, x AS digest, x AS data, x AS crc FROM c",
        "CREATE TABLE manifests (round, digest, data, crc); INSERT INTO manifests VALUES ('one', x'00', x'00', 0)",
        "CREATE TABLE Manifests (round REAL PRIMARY KEY, digest, data, crc)",
    ],
)
def test_what_only_has_the_name_of_the_table_is_no_journal(path: Path, statement: str) -> None:
    """Of somebody else's folder; its reader would never end, or end with a traceback."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        database.executescript(statement)
    with pytest.raises(StorageError, match="manifests is not the table that a peer writes"), open_journal_reader(path):
        pass
    journal = Journal(path, max_bytes=MIB)
    assert journal.set_aside is not None
    journal.close()


@pytest.mark.parametrize("newest_first", [False, True])
def test_damaged_tree_whose_rounds_are_in_no_order_ends_its_reader(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, newest_first: bool
) -> None:
    journal = Journal(path, max_bytes=MIB)
    append(journal, [entry(1)])
    journal.close()
    with open_journal_reader(path) as reader:
        page = reader._fetch("SELECT round, digest, data, crc FROM manifests")
        monkeypatch.setattr(JournalReader, "_fetch", lambda *_: page)
        with pytest.raises(StorageError, match="its rounds are in no order"):
            list(reader.rows(newest_first=newest_first))


def test_row_larger_than_any_round_is_not_read_into_memory(path: Path) -> None:
    journal = Journal(path, max_bytes=1 << 30)
    append(journal, chain(1, 3))
    journal.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE manifests SET data = zeroblob(100000000) WHERE round = 2")
        database.execute("UPDATE manifests SET digest = CAST(zeroblob(100000000) AS TEXT) WHERE round = 3")
    tracemalloc.start()
    with open_journal_reader(path) as reader:
        assert [(row.round, row.intact) for row in reader.rows(newest_first=False)] == [
            (1, True),
            (2, False),
            (3, False),
        ]
    assert tracemalloc.get_traced_memory()[1] < MIB
    tracemalloc.stop()
