"""`murmur identity`: what is exported comes back as the same peer, and nothing is overwritten or left readable."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from typer.testing import CliRunner, Result

from peer.commands.table import app
from peer.network.identity import Identity
from peer.network.key_export import decrypt_identity, encrypt_identity
from peer.network.key_file import load_identity

PASSPHRASE = "correct horse"


def murmur(*arguments: object, text: str = "") -> Result:
    result = CliRunner().invoke(app, ["identity", *map(str, arguments)], input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "slot-0" / "identity.key"
    assert murmur("new", path).exit_code == 0
    return path


def test_new_makes_a_private_key_file_and_never_overwrites(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    again = murmur("new", key)
    assert again.exit_code == 2
    assert "exists already" in again.output
    assert key.read_bytes() == before


def test_show_prints_the_peer_id_and_no_secret(key: Path, tmp_path: Path) -> None:
    identity = load_identity(key)
    for shown in (murmur("show", key), murmur("show", "--data-dir", tmp_path)):
        assert shown.exit_code == 0
        assert identity.peer_id in shown.output
        assert identity.public_key.hex() in shown.output
        assert identity.secret_seed.hex() not in shown.output


def test_show_and_status_look_where_peers_of_the_environment_keep_their_data(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MURMUR_STORAGE__DATA_DIR", str(tmp_path))
    assert load_identity(key).peer_id in murmur("show").output
    asked = CliRunner().invoke(app, ["status"])
    assert (asked.exit_code, asked.stdout.strip()) == (1, "no peer runs in slot-0")


def test_an_export_comes_back_as_the_same_peer(key: Path, tmp_path: Path) -> None:
    pem, back = tmp_path / "peer.pem", tmp_path / "back.key"
    out = murmur("export", key, "--to", pem, text=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    assert out.exit_code == 0, out.output
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    assert load_identity(key).secret_seed not in pem.read_bytes()
    assert murmur("import", pem, "--to", back, text=f"{PASSPHRASE}\n").exit_code == 0
    assert back.read_bytes() == key.read_bytes()
    assert stat.S_IMODE(back.stat().st_mode) == 0o600


def test_an_export_does_not_replace_a_link_to_what_is_not_mounted(key: Path, tmp_path: Path) -> None:
    """As a new key does not: the copy would be where its owner does not look for it."""
    link = tmp_path / "backup.pem"
    link.symlink_to(tmp_path / "stick" / "backup.pem")
    refused = murmur("export", key, "--to", link, text=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    assert (refused.exit_code, "exists already" in refused.output, link.is_symlink()) == (2, True, True)


@pytest.mark.parametrize("passphrase", ["", "wrong", PASSPHRASE + " "])
def test_a_wrong_passphrase_is_said_and_makes_no_file(key: Path, tmp_path: Path, passphrase: str) -> None:
    pem, secret, back = tmp_path / "peer.pem", tmp_path / "passphrase", tmp_path / "back.key"
    secret.write_text(PASSPHRASE)
    assert murmur("export", key, "--to", pem, "--passphrase-file", secret).exit_code == 0
    secret.write_text(passphrase)
    refused = murmur("import", pem, "--to", back, "--passphrase-file", secret)
    assert refused.exit_code == 2
    assert "passphrase is wrong" in refused.output
    assert not back.exists()


def test_key_files_and_a_data_folder_are_not_shown_at_once(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = murmur("show", key, "--data-dir", tmp_path)
    told = f"murmur: --data-dir {tmp_path} has no effect beside {key}: give key files, or a data folder\n"
    assert (refused.exit_code, refused.stderr) == (2, told)
    monkeypatch.setenv("MURMUR_STORAGE__DATA_DIR", str(tmp_path))  # that is for other commands, too
    assert murmur("show", key).exit_code == 0


def test_a_passphrase_file_without_an_end_is_refused(key: Path, tmp_path: Path) -> None:
    refused = murmur("export", key, "--to", tmp_path / "peer.pem", "--passphrase-file", "/dev/zero")
    told = "murmur: the first line of /dev/zero is no passphrase: it has more than 1024 characters\n"
    assert (refused.exit_code, refused.stderr) == (2, told)
    assert not (tmp_path / "peer.pem").exists()


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n", b"x" * 9999])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "strange").write_bytes(content)
    refused = murmur("import", tmp_path / "strange", "--to", tmp_path / "out", text=f"{PASSPHRASE}\n")
    assert refused.exit_code == 2
    assert "strange" in refused.output
    assert not (tmp_path / "out").exists()


def test_mistakes_are_named(key: Path, tmp_path: Path) -> None:
    for arguments, expected in (
        (("show", tmp_path / "none"), "none"),
        (("show", "--data-dir", tmp_path / "empty"), "--data-dir"),
        (("export", tmp_path / "none", "--to", tmp_path / "o"), "none"),
        (("import", tmp_path / "none", "--to", tmp_path / "o"), "none"),
        (("export", key, "--to", tmp_path / "o", "--passphrase-file", tmp_path / "gone"), "gone"),
        (("export", key, "--to", key), "exists already"),
    ):
        result = murmur(*arguments, text=f"{PASSPHRASE}\n{PASSPHRASE}\n")
        assert (result.exit_code, expected in result.output) == (2, True), (arguments, result.output)
    short = murmur("export", key, "--to", tmp_path / "o", text="short\nshort\n")
    assert short.exit_code == 2
    assert "at least 8" in short.output
    assert not (tmp_path / "o").exists()


def test_a_key_of_another_kind_is_refused() -> None:
    pem = X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())
    )
    with pytest.raises(ValueError, match="another kind"):
        decrypt_identity(pem, PASSPHRASE)
    with pytest.raises(ValueError, match="empty"):
        encrypt_identity(Identity.for_tests(1), "")


def test_without_a_terminal_it_says_how_else_to_give_the_passphrase(key: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "peer.cli", "identity", "export", str(key), "--to", str(tmp_path / "peer.pem")]
    done = subprocess.run(
        command, input=f"{PASSPHRASE}\n" * 2, capture_output=True, text=True, start_new_session=True, check=False
    )
    assert done.returncode == 2
    assert "there is no terminal to ask for the passphrase: name a file by --passphrase-file" in done.stderr
    assert "Warning" not in done.stderr


def test_an_exported_copy_in_the_place_of_a_key_is_not_called_damaged(key: Path, tmp_path: Path) -> None:
    pem = tmp_path / "peer.pem"
    assert murmur("export", key, "--to", pem, text=f"{PASSPHRASE}\n{PASSPHRASE}\n").exit_code == 0
    shown = murmur("show", pem)
    assert shown.exit_code == 2
    assert f"{pem} is an exported copy of a key: `murmur identity import {pem} --to FILE` unpacks it" in shown.output
