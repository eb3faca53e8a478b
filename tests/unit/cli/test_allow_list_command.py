"""`murmur allow-list`: what it writes can be read again, and what it cannot write leaves the list as it was."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from peer.admission.allow_list import Listed
from peer.commands.table import app
from peer.network.identity import Identity
from peer.storage.allow_list_file import load_allow_list

PEER = Identity.for_tests(1).peer_id


def murmur(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["allow-list", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def swarm(tmp_path: Path) -> Path:
    path = tmp_path / "swarm.json"
    assert murmur("new", path, "--run", "cartpole").exit_code == 0
    return path


@pytest.mark.parametrize(
    ("peer", "why"), [("alice", "expected 52 characters, got 5"), ("0" * 52, f"not base58: '{'0' * 52}'")]
)
def test_what_is_no_peer_id_is_called_that(swarm: Path, peer: str, why: str) -> None:
    refused = murmur("add", swarm, peer)
    told = f"murmur: '{peer}' is no peer id, as `murmur identity show` prints it: {why}\n"
    assert (refused.exit_code, refused.stderr) == (2, told)


def test_missing_list_is_told_with_a_command_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "swarm.json"
    told = murmur("show", path).stderr.rstrip("\n")
    assert told == f"murmur: there is no allow-list {path}: make one by 'murmur allow-list new {path} --run NAME'"
    assert murmur("new", path, "--run", "cartpole").exit_code == 0


@pytest.mark.parametrize("option", ["--name", "--role"])
@pytest.mark.parametrize("label", ["x" * 33, "alice\n", "é", "a\tb"])
def test_label_that_no_list_may_hold_is_refused_and_the_list_stays(swarm: Path, option: str, label: str) -> None:
    """It was written, and then no command could read the list any more."""
    refused = murmur("add", swarm, PEER, option, label)
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"murmur: {option}: expected up to 32 characters of a-z, A-Z, 0-9, '_', '.', '-' and space, got {label!r}\n"
    )
    assert load_allow_list(swarm).peers == ()


def test_label_as_long_as_can_be_is_kept(swarm: Path) -> None:
    name = "Alice's laptop".replace("'", "_").ljust(32, ".")
    assert murmur("add", swarm, PEER, "--name", name).exit_code == 0
    assert load_allow_list(swarm).peers == (Listed(PEER, name),)
