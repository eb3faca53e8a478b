"""The allow-lists of a running peer: the user's file, looked at for changes, and the peer's own copy of the newest."""

from pathlib import Path

from peer.admission.allow_list import AllowListFile
from peer.admission.policy import FoundList
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


def test_newest_list_is_kept_apart_from_the_file_of_the_user(tmp_path: Path) -> None:
    files = AllowListFiles(None, kept=tmp_path / "kept.json")
    files.keep(version(3))
    assert load_allow_list(tmp_path / "kept.json") == version(3)
    assert files.changed() is None
