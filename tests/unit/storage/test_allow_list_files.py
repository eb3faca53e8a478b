"""The allow-lists of a running peer: the user's file, looked at for changes, and the peer's own copy of the newest."""

import time
from pathlib import Path

import pytest

from peer.admission.allow_list import MAX_LISTED, AllowListFile, Listed
from peer.admission.policy import FoundList
from peer.errors import StorageError
from peer.storage.allow_list_file import AllowListFiles, load_allow_list, save_allow_list


def version(number: int) -> AllowListFile:
    return AllowListFile(run="cartpole", version=number)


def test_file_of_the_user_is_handed_over_once_after_every_change(tmp_path: Path) -> None:
    configured = tmp_path / "allow.json"
    files = AllowListFiles(configured, kept=tmp_path / "kept.json")
    assert files.changed() is None
    for number in (1, 22):  # of another length: the clock of a file system may be coarse
        save_allow_list(configured, version(number))
        assert [files.changed(), files.changed()] == [FoundList(str(configured), version(number).text()), None]
    configured.unlink()
    assert files.changed() is None


def test_file_of_the_user_that_could_not_be_read_is_handed_over_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes it readable does not change it."""

    def refuse(path: Path) -> bytes:
        raise StorageError(f"cannot read the allow-list {path}: Permission denied")

    configured = tmp_path / "allow.json"
    save_allow_list(configured, version(1))
    files = AllowListFiles(configured, kept=tmp_path / "kept.json")
    with monkeypatch.context() as unreadable:  # root may read everything
        unreadable.setattr("peer.storage.allow_list_file.read_allow_list", refuse)
        with pytest.raises(StorageError):
            files.changed()
        assert files.changed() is None, "it is told once"
    time.sleep(0.02)  # the clock of a file system may be coarse
    configured.chmod(0o600)
    assert files.changed() is not None


def test_newest_list_is_kept_apart_from_the_file_of_the_user(tmp_path: Path) -> None:
    files = AllowListFiles(None, kept=tmp_path / "kept.json")
    files.keep(version(3))
    assert load_allow_list(tmp_path / "kept.json") == version(3)
    assert files.changed() is None


def test_list_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    """One peer more than a list may name."""
    path = tmp_path / "allow.json"
    save_allow_list(path, version(1))
    peers = tuple(Listed(f"12D3KooW{number:044}") for number in range(MAX_LISTED + 1))
    with pytest.raises(StorageError, match=r"allow\.json is not written, as nobody could read it again: .*1024"):
        save_allow_list(path, AllowListFile(run="cartpole", version=2, peers=peers))
    assert load_allow_list(path) == version(1)
    save_allow_list(path, AllowListFile(run="cartpole", version=2, peers=peers[1:]))
    assert len(load_allow_list(path).peers) == MAX_LISTED
