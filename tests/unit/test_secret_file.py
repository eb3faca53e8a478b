"""A file with a key is made for its owner alone, or not at all."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from peer import atomic_write, secret_file
from peer.errors import StorageError
from peer.network.key_file import load_or_create_identity
from peer.secret_file import create_secret
from peer.storage.swarm_key_file import write_new_swarm_key


@pytest.fixture
def without_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system on which every file is everybody's, whatever mode it is made with, as a Windows drive in WSL."""

    def create_file(path: Path, data: bytes, *, mode: int) -> bool:
        is_new = atomic_write.create_file(path, data, mode=mode)
        path.chmod(0o777)
        return is_new

    monkeypatch.setattr(secret_file, "create_file", create_file)


def test_secret_is_its_owners_alone(tmp_path: Path) -> None:
    assert create_secret(tmp_path / "key", b"secret")
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "not-mounted")
    assert not create_secret(tmp_path / "key", b"new")
    assert not create_secret(tmp_path / "link", b"new")
    assert (tmp_path / "key").read_bytes() == b"old"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.usefixtures("without_modes")
@pytest.mark.parametrize("make", [load_or_create_identity, write_new_swarm_key], ids=["identity", "swarm key"])
def test_no_key_is_left_where_everybody_could_read_it(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """The first start went well, and all later ones refused the key."""
    with pytest.raises(StorageError, match=r"key: the file system there keeps no modes.*storage\.data_dir"):
        make(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []
