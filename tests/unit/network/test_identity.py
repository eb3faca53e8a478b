"""The key file: kept for ever, private, checked, never replaced in silence."""

import errno
import os
import stat
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID

from peer.errors import StorageError
from peer.network.identity import Identity
from peer.network.key_file import load_or_create_identity, write_new_identity
from peer.peer_ids import public_key_of


def test_peer_id_is_the_one_libp2p_derives_from_the_same_key() -> None:
    identity = Identity.for_tests(7)
    pair = create_new_key_pair(identity.secret_seed)
    assert identity.peer_id == ID.from_pubkey(pair.public_key).to_base58()


def test_signature_verifies_by_the_key_inside_the_peer_id_and_by_no_other() -> None:
    identity = Identity.for_tests(7)
    signature = identity.sign(b"message")
    key = Ed25519PublicKey.from_public_bytes(public_key_of(identity.peer_id))
    key.verify(signature, b"message")
    with pytest.raises(InvalidSignature):
        key.verify(signature, b"massage")
    with pytest.raises(InvalidSignature):
        key.verify(Identity.for_tests(8).sign(b"message"), b"message")


def test_test_identities_repeat_and_generated_ones_do_not() -> None:
    assert Identity.for_tests(3).peer_id == Identity.for_tests(3).peer_id
    assert Identity.for_tests(3).peer_id != Identity.for_tests(4).peer_id
    assert Identity.generate().peer_id != Identity.generate().peer_id


def test_repr_shows_the_id_and_not_the_secret() -> None:
    identity = Identity.for_tests(7)
    assert identity.peer_id in repr(identity)
    assert identity.secret_seed.hex() not in repr(identity)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_seed_of_another_size_is_the_callers_mistake(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Identity(bytes(size))


def test_first_start_makes_a_private_key_file_and_the_next_ones_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "identity.key"
    first = load_or_create_identity(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert load_or_create_identity(path).peer_id == first.peer_id
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["identity.key"]  # no scratch file left


def test_umask_does_not_open_the_key_file(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        load_or_create_identity(tmp_path / "key")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_key_file_is_libp2ps_own_encoding(tmp_path: Path) -> None:
    identity = load_or_create_identity(tmp_path / "key")
    raw = (tmp_path / "key").read_bytes()
    assert raw[:4] == bytes((0x08, 0x01, 0x12, 0x40))  # PrivateKey{type: Ed25519, data: 64 bytes}
    assert raw[4:36] == identity.secret_seed
    assert raw[36:] == identity.public_key


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666])
def test_key_file_that_others_can_open_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    load_or_create_identity(path)
    path.chmod(mode)
    with pytest.raises(StorageError, match=f"chmod 600 {path}"):
        load_or_create_identity(path)


def damaged_files() -> dict[str, bytes]:
    identity = Identity.for_tests(1)
    good = bytes((8, 1, 0x12, 0x40)) + identity.secret_seed + identity.public_key
    return {
        "empty": b"",
        "cut short": good[:-1],
        "one byte more": good + b"\n",
        "huge": bytes(10_000_000),
        "zeros": bytes(68),
        "another kind of key": bytes((8, 0)) + good[2:],
        "flipped bit in the seed": good[:10] + bytes((good[10] ^ 1,)) + good[11:],
        "flipped bit in the public half": good[:-1] + bytes((good[-1] ^ 1,)),
        "text": b"-----BEGIN PRIVATE KEY-----\n" * 3,
    }


@pytest.mark.parametrize("name", damaged_files())
def test_damaged_key_file_is_an_error_and_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / "key"
    content = damaged_files()[name]
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StorageError, match="damaged") as caught:
        load_or_create_identity(path)
    assert str(path) in str(caught.value)
    assert "delete it" in str(caught.value)
    assert path.read_bytes() == content


def test_link_to_a_key_that_is_not_mounted_is_an_error_and_is_left_as_it_is(tmp_path: Path) -> None:
    """The peer returned under a new identity, for ever, as the link was replaced by its key."""
    path = tmp_path / "identity.key"
    path.symlink_to(tmp_path / "secrets" / "identity.key")
    with pytest.raises(StorageError, match=r"is a link to .*identity\.key, where there is none: mount"):
        load_or_create_identity(path)
    with pytest.raises(StorageError, match="exists already"):
        write_new_identity(path, Identity.generate())
    assert path.is_symlink()


@pytest.fixture(params=["with hard links", "without hard links"])
def quicker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Identity:
    """Whom another process makes in the moment in which this one writes `identity.key`."""
    other, real = Identity.for_tests(7), os.fsync

    def fsync(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        write_new_identity(tmp_path / "identity.key", other)
        real(descriptor)

    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fsync", fsync)
    if request.param == "without hard links":
        monkeypatch.setattr(os, "link", link)
    return other


def test_first_start_of_two_processes_at_once_makes_one_key(tmp_path: Path, quicker: Identity) -> None:
    """Else the first would run under a key that is lost: two peers would write one folder, and none would know."""
    path = tmp_path / "identity.key"
    assert load_or_create_identity(path).peer_id == quicker.peer_id
    assert [entry.name for entry in tmp_path.iterdir()] == ["identity.key"]


def test_key_that_another_process_makes_meanwhile_is_not_overwritten(tmp_path: Path, quicker: Identity) -> None:
    path = tmp_path / "identity.key"
    with pytest.raises(StorageError, match="exists already: a key is never overwritten"):
        write_new_identity(path, Identity.for_tests(8))
    assert load_or_create_identity(path).peer_id == quicker.peer_id


def test_directory_in_place_of_the_key_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    with pytest.raises(StorageError, match="cannot read"):
        load_or_create_identity(tmp_path / "key")


def test_place_that_cannot_hold_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StorageError, match="cannot"):
        load_or_create_identity(tmp_path / "file" / "key")


@pytest.mark.parametrize(
    ("code", "next_step"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "mount it writable"),
        (errno.EACCES, "let this user read and write it"),
        (errno.EIO, "check the disk"),
    ],
)
def test_disk_that_takes_no_key_is_an_error_that_says_what_to_do_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, next_step: str
) -> None:
    def fail(_handle: int) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "identity.key"
    monkeypatch.setattr(os, "fsync", fail)
    cause = os.strerror(code).lower()
    for write in (load_or_create_identity, lambda path: write_new_identity(path, Identity.for_tests(1))):
        with pytest.raises(StorageError, match=rf"^cannot write the identity file {path}: {cause}; {next_step}"):
            write(path)
    assert not list(tmp_path.iterdir())


def test_key_file_that_cannot_be_read_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = tmp_path / "identity.key"
    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(StorageError, match=rf"^cannot read the identity file {path}: permission denied; let this user"):
        load_or_create_identity(path)
