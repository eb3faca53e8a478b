"""`murmur log` as its user meets it: what is shown, of which folder, and what a mistake is answered with."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import peer.commands.table
from peer.errors import StorageError
from peer.history.places import find_run
from peer.history.record import Record
from peer.history.text import record_lines
from peer.rounds.rules import RoundRules
from peer.storage.about_file import ABOUT_FILE, About, write_about
from peer.storage.journal import Journal
from peer.storage.journal_reader import open_journal_reader
from peer.telemetry.names import NameBook
from peer.telemetry.plain_text import amount, short
from tests.unit.history import tampering
from tests.unit.history.sealed_run import ME, OTHER, make_run
from tests.unit.services.chains import LoneChain

ROUNDS = 6


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with one slot and one run."""
    data_dir = tmp_path_factory.mktemp("data")
    make_run(data_dir / "slot-0", rounds=ROUNDS)
    return data_dir


@pytest.fixture
def data_dir(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "runs"))


def log(*arguments: str | Path) -> Result:
    return CliRunner().invoke(peer.commands.table.app, ["log", *map(str, arguments)])


def shown(*arguments: str | Path) -> list[str]:
    result = log(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def refused(*arguments: str | Path) -> str:
    result = log(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr.splitlines()[-1]


def run_folder(data_dir: Path) -> Path:
    return next(data_dir.glob("slot-0/cartpole-*"))


def test_round_that_ended_a_solved_run_names_the_model_that_was_kept() -> None:
    chain = LoneChain(rules=RoundRules(stop_return=2.0))
    chain.seal()
    kept = chain.machine.tip
    chain.seal()
    (line,) = record_lines(Record(round=2, entry=chain.machine.tip, damage=""), NameBook(), oneline=True)
    assert line.endswith(f" | solved: kept model {short(kept.model)} of round 1")


def test_reader_that_has_seen_enough_ends_it_quietly(data_dir: Path) -> None:
    command = [sys.executable, "-m", "peer.cli", "log", "--data-dir", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert len(said.splitlines()) == 1, "where it reads, and no complaint"


def test_process_is_not_left_to_die_of_broken_pipes(data_dir: Path) -> None:
    shown("--data-dir", data_dir)
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN


def test_rounds_come_newest_first_each_with_its_contributors(data_dir: Path) -> None:
    lines = shown("--data-dir", data_dir)
    heads = [line for line in lines if line.startswith("round ")]
    assert [line.split()[1] for line in heads] == ["6", "5", "4", "3", "2", "1"]
    folder = run_folder(data_dir)
    digest = tampering.rows(folder)[5][0].hex()
    before, after = (tampering.manifest_of(folder, number).message.env_steps for number in (4, 5))
    steps = f"{amount(after - before)} env steps, {amount(after)} in all"
    assert heads[1].startswith(f"round 5 {digest[:10]} | return 2.0 | 2/2 peers | {steps} | ")
    at = lines.index(heads[1])
    assert {line.split()[0] for line in lines[at + 1 : at + 3]} == {"peer-1", OTHER.peer_id[-6:]}
    assert any(" 500 env steps | return     5.0 |" in line for line in lines[at + 1 : at + 3])
    alone = lines.index(heads[3])
    assert lines[alone + 2].split()[1:] == ["absent,", "1", "in", "a", "row"]


def test_count_and_oneline_shorten_it(data_dir: Path) -> None:
    lines = shown("--data-dir", data_dir, "-n", "2", "--oneline")
    assert [line.split()[1] for line in lines] == ["6", "5"]


def test_sums_and_lines_of_rounds_are_not_shown_at_once(data_dir: Path) -> None:
    told = "Error: Invalid value for --stat: it sums all rounds up, and --oneline shows each one: give one of them"
    assert refused("--data-dir", data_dir, "--stat", "--oneline") == told


@pytest.mark.parametrize("name", ["peer-1", ME.peer_id, ME.peer_id[-6:]])
def test_peer_is_found_by_name_id_and_end_of_id(data_dir: Path, name: str) -> None:
    assert len(shown("--data-dir", data_dir, "--oneline", "--peer", name)) == ROUNDS


def test_peer_leaves_out_the_rounds_it_had_no_part_in(data_dir: Path) -> None:
    def takes_part(sealed: dict[str, Any]) -> bool:  # Any: what JSON can hold
        peers = [sealed["sealer"], *(item["peer"] for item in [*sealed["admitted"], *sealed["rejected"]])]
        return OTHER.peer_id in peers

    everything = [json.loads(line) for line in shown("--data-dir", data_dir, "--json")]
    lines = shown("--data-dir", data_dir, "--json", "--peer", OTHER.peer_id)
    assert [json.loads(line)["round"] for line in lines] == [each["round"] for each in everything if takes_part(each)]


def test_stat_adds_up_to_what_the_headers_say(data_dir: Path) -> None:
    rounds = [json.loads(line) for line in shown("--data-dir", data_dir, "--json")]
    (totals,) = (json.loads(line) for line in shown("--data-dir", data_dir, "--stat", "--json"))
    assert totals["env_steps"] == rounds[0]["env_steps"]  # what the newest manifest itself counts
    for row in totals["peers"]:
        mine = [entry for each in rounds for entry in each["admitted"] if entry["peer"] == row["peer"]]
        assert row["env_steps"] == sum(entry["env_steps"] for entry in mine)
        assert row["rounds"] == len(mine)
        assert row["sealed"] == sum(each["sealer"] == row["peer"] for each in rounds)
    text = shown("--data-dir", data_dir, "--stat")
    assert text[0] == f"6 rounds, 1 to 6; 2 peers; {totals['env_steps']:,} env steps"
    assert text[-1] == "nothing was rejected"


def test_round_that_cannot_be_read_is_shown_as_such_among_the_others(data_dir: Path) -> None:
    digest, data = tampering.rows(run_folder(data_dir))[4]
    tampering.put_row(run_folder(data_dir), 4, digest, tampering.flip(data, 200))
    lines = shown("--data-dir", data_dir, "--oneline")
    assert [line.split()[1] for line in lines] == ["6", "5", "4", "3", "2", "1"]
    assert lines[2].startswith("round 4 CANNOT BE READ | bad_signature: ")
    assert "1 more rounds cannot be read: murmur log --verify says why" in shown("--data-dir", data_dir, "--stat")


def test_verify_ends_with_0_when_good_and_with_1_when_not(data_dir: Path) -> None:
    assert log("--data-dir", data_dir, "--verify").exit_code == 0
    tampering.drop_round(run_folder(data_dir), 3)
    result = log("--data-dir", data_dir, "--verify")
    assert result.exit_code == 1
    assert "WRONG      rounds 3 are missing: somebody removed them from the journal" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("do not trust this folder: ")
    found = json.loads(log("--data-dir", data_dir, "--verify", "--json").stdout)
    assert found["good"] is False


def test_verify_holds_the_chain_against_settings_of_ones_own(data_dir: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("model: {hidden: [3]}\nround: {snapshot_every: 4}\nstop: {mean_return: null}\n")
    assert log("--data-dir", data_dir, "--verify", "-c", own).exit_code == 0


def test_verify_with_the_settings_of_another_run_says_so_once(data_dir: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("model: {hidden: [3]}\nstop: {mean_return: null}\nrun: {name: other, seed: 2}\n")
    told = refused("--data-dir", data_dir, "--verify", "-c", own)
    assert f"{run_folder(data_dir)} is of a run with other settings" in told
    assert "they differ in run.name, run.seed; " in told


def test_verify_looks_at_the_file_of_the_journal_too(data_dir: Path) -> None:
    journal = run_folder(data_dir) / "journal.sqlite"
    data = bytearray(journal.read_bytes())
    data[36:40] = (7).to_bytes(4)  # how many pages are free, which no row depends on
    journal.write_bytes(data)
    result = log("--data-dir", data_dir, "--verify")
    assert result.exit_code == 1
    assert "WRONG      journal.sqlite is damaged as a file, says SQLite: " in result.stdout


@pytest.mark.parametrize("form", [(), ("--verify",)])
def test_full_disk_is_told_in_one_line(data_dir: Path, form: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "peer.cli", "log", "--data-dir", str(data_dir), *form]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == ["murmur: the output cannot be written: No space left on device"]


def test_settings_without_verify_are_refused(data_dir: Path, tmp_path: Path) -> None:
    """They would have no effect: whoever gives them means that the chain is held against them."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("run: {name: other}\n")
    assert "--config: it goes with --verify" in refused("--data-dir", data_dir, "--config", settings)


def test_count_that_no_integer_of_the_machine_holds_means_all(data_dir: Path) -> None:
    assert len(shown("--data-dir", data_dir, "--oneline", "-n", "9" * 30)) == ROUNDS


@pytest.mark.parametrize("part", [".", "slot-0", "slot-0/cartpole-*", "slot-0/cartpole-*/journal.sqlite"])
def test_folder_may_be_named_at_any_depth(data_dir: Path, part: str) -> None:
    (path,) = data_dir.glob(part) if part != "." else (data_dir,)
    assert len(shown("--data-dir", path, "--oneline")) == ROUNDS


def test_last_written_run_is_shown_and_the_others_are_told(data_dir: Path) -> None:
    shutil.copytree(run_folder(data_dir), data_dir / "slot-1" / run_folder(data_dir).name)
    (data_dir / "slot-1" / run_folder(data_dir).name / "journal.sqlite").touch()
    result = log("--data-dir", data_dir, "-n", "1")
    assert result.stderr.startswith(f"{data_dir}/slot-1/cartpole-")
    assert "; 1 more: --slot, --run" in result.stderr
    assert log("--data-dir", data_dir, "--slot", "0", "-n", "1").stderr.startswith(f"{data_dir}/slot-0/")


def test_journal_without_rounds_gives_way_to_one_that_holds_some(data_dir: Path) -> None:
    """A start that failed leaves one, newer than all others."""
    full, empty = run_folder(data_dir), empty_journal(data_dir / "slot-0" / "cartpole-00000000")
    result = log("--data-dir", data_dir, "--oneline")
    assert len(result.stdout.splitlines()) == ROUNDS
    assert result.stderr.startswith(f"{full}, kept by peer-1; 1 more")
    assert f"no round is sealed yet in {empty}" in refused("--data-dir", data_dir, "--run", empty.name)
    assert f"no round is sealed yet in {empty}" in refused("--data-dir", empty)
    assert f"no round is sealed yet in {empty}" in refused("--data-dir", empty, "--verify")


def test_only_journals_without_rounds_are_told_as_such(tmp_path: Path) -> None:
    for slot in range(2):
        empty_journal(tmp_path / f"slot-{slot}" / "cartpole-00000000")
    assert f"no round is sealed yet in any of the 2 journals in {tmp_path}" in refused("--data-dir", tmp_path)


def empty_journal(folder: Path) -> Path:
    folder.mkdir(parents=True)
    Journal(folder / "journal.sqlite", max_bytes=1 << 20).close()
    return folder


def test_mistakes_are_answered_with_what_there_is(data_dir: Path, tmp_path: Path) -> None:
    assert "there is no folder" in refused("--data-dir", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "holds no journal yet" in refused("--data-dir", tmp_path / "empty")
    assert "there are some in slot-0 (--slot)" in refused("--data-dir", data_dir, "--slot", "3")
    assert f"there are {run_folder(data_dir).name}" in refused("--data-dir", data_dir, "--run", "pendulum")
    assert "it names " in refused("--data-dir", data_dir, "--peer", "peer-9")
    assert "leave out -n" in refused("--data-dir", data_dir, "--verify", "-n", "3")
    (run_folder(data_dir) / ABOUT_FILE).unlink()
    assert "--config" in refused("--data-dir", data_dir, "--verify")
    write_about(run_folder(data_dir), About(peer="x", name="y", settings='{"run": {"nam": "x"}}'))
    assert "settings that this version does not know" in refused("--data-dir", data_dir, "--verify")
    (run_folder(data_dir) / "journal.sqlite").write_bytes(b"no database at all" * 100)
    assert "cannot be read as a journal" in refused("--data-dir", data_dir)


def test_what_another_version_wrote_is_not_called_wrong(data_dir: Path, tmp_path: Path) -> None:
    """It would be, in every round: another protocol cannot be read, and other keys give another first digest."""
    folder = run_folder(data_dir)
    about = json.loads((folder / ABOUT_FILE).read_text())
    settings = json.loads(about["settings"])
    del settings["round"]["merge"]
    (folder / ABOUT_FILE).write_text(json.dumps({**about, "settings": json.dumps(settings)}))
    assert "another version, which had no round.merge: use that one" in refused("--data-dir", data_dir, "--verify")
    config = tmp_path / "config.yaml"  # with every key, of which none that was there has changed
    config.write_text(json.dumps(json.loads(about["settings"])))
    given = refused("--data-dir", data_dir, "--verify", "--config", config)
    assert "another version, which had no round.merge: use that one" in given
    folder.rename(folder.with_name(re.sub(r"-v\d+$", "-v4", folder.name)))
    assert "is of protocol version 4, this program checks" in refused("--data-dir", data_dir, "--verify")


def test_journal_is_read_while_its_peer_writes_and_from_a_copy_of_that_moment(data_dir: Path, tmp_path: Path) -> None:
    folder = run_folder(data_dir)
    rows = tampering.rows(folder)
    with sqlite3.connect(folder / "journal.sqlite", isolation_level=None) as writer:
        writer.execute("DELETE FROM manifests WHERE round > 4")
        with open_journal_reader(folder / "journal.sqlite") as reader:
            reader.hold_still()
            assert reader.rounds() == (1, 4)
            writer.execute("INSERT INTO manifests VALUES (5, ?, ?, 0)", rows[5])
            assert reader.rounds() == (1, 4)  # as it was when it was held
        assert len(shown("--data-dir", folder, "--oneline")) == 5  # out of the log beside the file
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("journal.sqlite", "journal.sqlite-wal"):
            shutil.copyfile(folder / name, copy / name)
    assert len(shown("--data-dir", copy, "--oneline")) == 5


def test_reading_a_stopped_peers_journal_leaves_nothing_behind(data_dir: Path) -> None:
    before = sorted(path.name for path in run_folder(data_dir).iterdir())
    shown("--data-dir", data_dir)
    assert sorted(path.name for path in run_folder(data_dir).iterdir()) == before


def test_name_of_another_peer_comes_from_its_own_folder(data_dir: Path) -> None:
    beside = data_dir / "slot-1" / run_folder(data_dir).name
    beside.mkdir(parents=True)
    write_about(beside, About(peer=OTHER.peer_id, name="peer-2", settings="{}"))
    place = find_run(data_dir, slot=0, run=None)
    assert place.names.name_of(OTHER.peer_id) == "peer-2"


def test_no_journal_is_an_error_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no journal at"), open_journal_reader(tmp_path / "journal.sqlite"):
        pass
