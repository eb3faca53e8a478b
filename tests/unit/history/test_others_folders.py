"""What belongs to another user is told as that, and not as missing or by a traceback."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from peer.config.load import load_config
from peer.config.schema import Config
from peer.doctor.machine_checks import check_identities
from peer.errors import StorageError
from peer.history.places import find_model, find_run
from peer.solo.resumption import resume_at
from peer.storage.model_file import load_model


def test_slot_of_another_user_is_told_where_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots are open to their user alone: what is in others cannot be seen, and seems to be missing."""
    slot = tmp_path / "slot-0"
    slot.mkdir()
    monkeypatch.setattr("peer.storage.slots.os.access", lambda path, _mode: path != slot)
    others = f"cannot read {slot}: it belongs to another user: ask as that one, or as root"
    with pytest.raises(StorageError, match=re.escape(others)):
        find_run(tmp_path, slot=None, run=None)
    with pytest.raises(StorageError, match=re.escape(others)):
        find_model(tmp_path)
    (finding,) = check_identities(load_config([], {}, [f"storage.data_dir={tmp_path}"]))
    assert (finding.verdict, finding.text) == ("fail", others)


@pytest.mark.parametrize("look", [find_model, load_model, lambda path: resume_at(path, lambda _: Config())])
def test_folder_that_may_not_be_looked_into_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Path], object]
) -> None:
    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", closed)
    with pytest.raises(StorageError, match=r"model.safetensors: permission denied; let this user read"):
        look(tmp_path / "model.safetensors")
