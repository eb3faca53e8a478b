"""Two changes of one file at once: the second waits for the first, and neither is lost."""

import errno
import fcntl
import os
from pathlib import Path
from threading import Thread

import pytest

from peer.admission.allow_list import AllowListFile, Listed, with_peer, without_peer
from peer.errors import StorageError
from peer.storage.allow_list_file import change_allow_list, create_allow_list, load_allow_list
from peer.storage.edit_lock import sole_editor
from peer.storage.file_lock import WITHOUT_LOCKS, lock_file

ALICE, BOB, CAROL = (Listed("12D3KooW" + letter * 44) for letter in "abc")


@pytest.fixture
def swarm(tmp_path: Path) -> Path:
    path = tmp_path / "swarm.json"
    create_allow_list(path, AllowListFile(run="cartpole", version=1, peers=(ALICE,)))
    return path


@pytest.fixture(params=WITHOUT_LOCKS, ids=lambda number: errno.errorcode[number])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_change_that_comes_in_the_middle_of_another_is_kept(swarm: Path) -> None:
    second = Thread(target=change_allow_list, args=(swarm, lambda found: without_peer(found, ALICE.peer)))

    def with_bob(found: AllowListFile) -> AllowListFile:
        second.start()
        second.join(timeout=0.3)  # it waits for us; without a lock it would have ended by then
        return with_peer(found, BOB)

    change_allow_list(swarm, with_bob)
    second.join()
    assert load_allow_list(swarm).peers == (BOB,)
    assert not list(swarm.parent.glob(".*")), "no lock stays behind"


def test_new_list_never_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "swarm.json"
    create_allow_list(path, AllowListFile(run="first", version=1))
    with pytest.raises(StorageError, match="exists already: name another file, or move it away"):
        create_allow_list(path, AllowListFile(run="second", version=1))
    assert load_allow_list(path).run == "first"


def test_change_that_another_holds_up_for_ever_names_its_process(swarm: Path) -> None:
    told = f"another command, process {os.getpid()}, is changing {swarm}: stop it, or try again later"
    with sole_editor(swarm):
        with pytest.raises(StorageError) as caught, sole_editor(swarm, patience_s=0.02):
            pass
        assert str(caught.value) == told
    with sole_editor(swarm, patience_s=0.0):
        pass


def test_change_that_fails_leaves_list_and_folder_as_they_were(swarm: Path) -> None:
    before = swarm.read_bytes()
    with pytest.raises(ValueError, match="is not on the list"):
        change_allow_list(swarm, lambda found: without_peer(found, CAROL.peer))
    assert swarm.read_bytes() == before
    assert list(swarm.parent.iterdir()) == [swarm]


@pytest.mark.usefixtures("without_locks")
def test_file_system_without_locks_takes_changes(swarm: Path) -> None:
    change_allow_list(swarm, lambda found: with_peer(found, BOB))
    assert load_allow_list(swarm).peers == (ALICE, BOB)


@pytest.mark.parametrize("path", ["missing/swarm.json", "."])
def test_what_is_no_file_is_told_as_without_a_lock(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = (
        "there is no allow-list missing/swarm.json" if path != "." else "cannot read the allow-list .: is a directory"
    )
    with pytest.raises(StorageError, match=told):
        change_allow_list(Path(path), lambda found: found)
    assert not list(tmp_path.iterdir())


def test_lock_that_cannot_be_made_names_the_cause(swarm: Path) -> None:
    lock_file(swarm).mkdir()
    with pytest.raises(StorageError, match=r"cannot lock .*\.swarm\.json\.lock: is a directory"):
        change_allow_list(swarm, lambda found: found)
