"""Two runs that would write one file: the second is told who has it, and touches nothing."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from peer.errors import StorageError
from peer.solo import writer_lock
from peer.solo.options import TrainOptions
from peer.solo.resumption import resume_at
from peer.solo.run_state import state_file
from peer.solo.train import go_on, train_solo
from peer.solo.writer_lock import require_no_writer, sole_writer
from peer.storage.file_lock import WITHOUT_LOCKS, lock_file
from tests.unit.solo.test_train import file_of, model_bytes, options, small

__all__ = ["options"]  # a fixture

HOLD = (
    "import sys; from pathlib import Path; from peer.solo.writer_lock import sole_writer\n"
    "with sole_writer(Path(sys.argv[1]), option='-o'): print('held', flush=True); sys.stdin.read()\n"
)


@pytest.mark.parametrize("option", ["-o", "--curve", "--plot"])
def test_run_is_refused_a_file_that_another_writes(options: TrainOptions, tmp_path: Path, option: str) -> None:
    taken, other = tmp_path / "taken.png", tmp_path / "other.safetensors"
    refused = {
        "-o": replace(options, model_file=taken),
        "--curve": replace(options, model_file=other, curve_file=taken),
        "--plot": replace(options, model_file=other, plot=taken),
    }[option]
    with sole_writer(taken, option="-o"), pytest.raises(StorageError) as caught:
        train_solo(small(), refused)
    assert f"another murmur train, process {os.getpid()}, is writing {taken}: wait for its end" in str(caught.value)
    assert f"or name another file ({option})" in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert train_solo(small(), replace(refused, plot=None)).exit_code == 0
    assert not list(tmp_path.glob(".*")), "no lock stays behind"


def test_process_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StorageError, match=f"process {holder.pid}, is writing"), sole_writer(file, option="-o"):
        pass
    with pytest.raises(StorageError, match=f"process {holder.pid}, is writing .*: wait for its end, or stop it"):
        resume_at(file, lambda _: small())  # it has no state yet
    holder.kill()
    holder.communicate()
    require_no_writer(file)
    with sole_writer(file, option="-o"):
        assert lock_file(file).exists()
    assert not lock_file(file).exists()


def test_what_killed_runs_were_writing_is_removed_by_the_next_writer(options: TrainOptions, tmp_path: Path) -> None:
    file, curve = file_of(options), tmp_path / "curve.jsonl"
    for name in (file.name, state_file(file).name):
        (file.parent / f".tmp-999999-{name}").write_bytes(bytes(1000))
    (curve.parent / f".tmp-999999-{curve.name}").touch()
    others = [tmp_path / ".tmp-999999-other.safetensors", tmp_path / f".tmp-notes-{file.name}"]
    for path in others:
        path.touch()
    train_solo(small(), replace(options, curve_file=curve))
    assert set(tmp_path.rglob(".tmp-*")) == set(others)


def test_run_that_has_gone_on_since_it_was_read_is_not_gone_on_with(options: TrainOptions) -> None:
    train_solo(small(), options)
    stale = resume_at(file_of(options), lambda _: small())
    longer = replace(options, max_env_steps=1280)
    go_on(resume_at(file_of(options), lambda _: small()), longer)
    newest = model_bytes(file_of(options))
    with pytest.raises(StorageError, match="was replaced meanwhile"):
        go_on(stale, longer)
    assert model_bytes(file_of(options)) == newest


def test_file_system_without_locks_keeps_nobody_from_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_locks(path: Path) -> int | None:
        raise OSError(WITHOUT_LOCKS[0], "no locks", str(path))

    monkeypatch.setattr(writer_lock, "try_lock", without_locks)
    with sole_writer(tmp_path / "model", option="-o"):
        pass


def test_lock_that_cannot_be_made_names_the_cause(tmp_path: Path) -> None:
    lock_file(tmp_path / "model").mkdir()
    refused = pytest.raises(StorageError, match=r"cannot lock .*\.model\.lock: is a directory")
    with refused, sole_writer(tmp_path / "model", option="-o"):
        pass
