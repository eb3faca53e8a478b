"""The file of the swarm key: made once, private, and refused with the command that mends it."""

import os
import stat
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from peer.admission.swarm_key import SwarmKey
from peer.errors import StorageError
from peer.network.identity import Identity
from peer.network.key_file import load_identity, write_new_identity
from peer.storage.swarm_key_file import load_swarm_key, write_new_swarm_key


def test_a_new_key_is_private_and_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "swarm.key"
    key = write_new_swarm_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_swarm_key(file).fingerprint == key.fingerprint


def test_every_new_key_is_another(tmp_path: Path) -> None:
    assert write_new_swarm_key(tmp_path / "a").text() != write_new_swarm_key(tmp_path / "b").text()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "swarm.key"
    key = write_new_swarm_key(file)
    with pytest.raises(StorageError, match="never overwritten"):
        write_new_swarm_key(file)
    assert load_swarm_key(file).fingerprint == key.fingerprint


def test_a_key_that_another_process_makes_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real, made = tmp_path / "swarm.key", os.fsync, list[SwarmKey]()

    def fsync(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        made.append(write_new_swarm_key(file))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="never overwritten"):
        write_new_swarm_key(file)
    assert load_swarm_key(file).fingerprint == made[0].fingerprint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_open_to_others_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "swarm.key"
    write_new_swarm_key(file)
    file.chmod(mode)
    with pytest.raises(StorageError, match=f"mode 0{mode:o}, expected 0600.*chmod 600 {file}"):
        load_swarm_key(file)


@pytest.mark.parametrize(("mode", "owner", "is_taken"), [(0o440, 0, True), (0o444, 0, False), (0o440, 10002, False)])
def test_what_root_has_given_to_the_own_group_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, owner: int, *, is_taken: bool
) -> None:
    """As Kubernetes mounts a secret for a user who is not root."""
    file = tmp_path / "swarm.key"
    write_new_swarm_key(file)
    found = {name: getattr(file.stat(), name) for name in dir(file.stat()) if name.startswith("st_")}
    given = SimpleNamespace(**{**found, "st_uid": owner, "st_mode": stat.S_IFREG | mode})
    monkeypatch.setattr("os.geteuid", lambda: 10001)
    monkeypatch.setattr("os.fstat", lambda _: given)
    with nullcontext() if is_taken else pytest.raises(StorageError, match=f"mode 0{mode:o}"):
        load_swarm_key(file)


def test_a_missing_file_is_told_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="murmur swarm-key new"):
        load_swarm_key(tmp_path / "none")


def test_keys_of_the_two_kinds_that_were_confused_are_not_called_damaged(tmp_path: Path) -> None:
    """Whoever signed an allow-list with the swarm's key was told to delete it."""
    swarm, authority = tmp_path / "swarm.key", tmp_path / "authority.key"
    write_new_swarm_key(swarm)
    write_new_identity(authority, Identity.for_tests(1))
    with pytest.raises(StorageError, match=r"authority\.key is an identity and no swarm key: name another file"):
        load_swarm_key(authority)
    with pytest.raises(StorageError, match=r"swarm\.key is a swarm's key and no identity: name another file"):
        load_identity(swarm)


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"x" * 1000])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "swarm.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(StorageError, match="is damaged"):
        load_swarm_key(file)
