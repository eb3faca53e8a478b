"""Which run, and which model, a user means by a folder."""

import os
from pathlib import Path

import pytest

from peer.errors import StorageError
from peer.history.places import find_model, find_run
from peer.storage.names_file import save_names
from tests.unit.history.sealed_run import ME, OTHER, make_run


def test_peers_of_other_machines_are_called_what_they_were_when_they_were_met(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "slot-0", rounds=1)
    save_names(folder, {OTHER.peer_id: "host-2", ME.peer_id: "an-earlier-name"})
    names = find_run(tmp_path, slot=None, run=None).names
    assert (names.name_of(OTHER.peer_id), names.name_of(ME.peer_id)) == ("host-2", "peer-1")


def test_model_of_a_data_folder_is_that_of_the_run_written_to_last(tmp_path: Path) -> None:
    older, newer = (make_run(tmp_path / slot, rounds=1) for slot in ("slot-0", "slot-1"))
    _age(older)
    for path in (tmp_path, tmp_path / "slot-1", newer, newer / "model.safetensors"):
        assert find_model(path) == newer / "model.safetensors"


def test_run_without_a_model_so_far_is_told(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "slot-0", rounds=1)
    (folder / "model.safetensors").unlink()
    with pytest.raises(StorageError, match=f"there is no model in {folder} yet: .*snapshot_every"):
        find_model(tmp_path)


def test_what_a_lone_learner_saved_is_found_too(tmp_path: Path) -> None:
    run = make_run(tmp_path / "slot-0", rounds=1)
    _age(run)
    older, newer = (tmp_path / "train" / name / "model.safetensors" for name in ("a", "b"))
    for age, path in enumerate((older, newer), start=2):
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (age, age))
    for folder in (tmp_path, tmp_path / "train", newer.parent):
        assert find_model(folder) == newer
    for file in run.glob("journal.sqlite*"):
        os.utime(file)
    assert find_model(tmp_path) == run / "model.safetensors"


def test_folder_without_any_model_says_who_saves_one(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no model in .*: name another .*`murmur train` every 30 s"):
        find_model(tmp_path)


def _age(folder: Path) -> None:
    for file in folder.glob("journal.sqlite*"):
        os.utime(file, (1, 1))
