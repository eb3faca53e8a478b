"""Which run, and which model, a user means by a folder."""

import os
from pathlib import Path

import pytest

from peer.errors import StorageError
from peer.history.places import find_model
from tests.unit.history.sealed_run import make_run


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


def _age(folder: Path) -> None:
    for file in folder.glob("journal.sqlite*"):
        os.utime(file, (1, 1))
