"""What a run's folder says about itself: written once, and no file however damaged is in anybody's way."""

import os
from pathlib import Path

import pytest

from peer.storage.about_file import ABOUT_FILE, About, read_about, write_about

ABOUT = About(peer="12D3KooWAlice", name="peer-1", settings='{"run.name": "cartpole"}')


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    assert read_about(tmp_path) is None
    write_about(tmp_path, ABOUT)
    assert read_about(tmp_path) == ABOUT


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"\xff", b'{"peer": "a"}', b"[" * 100_000, b'{"peer":' * 100_000]
)
def test_damaged_file_says_nothing_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ABOUT_FILE).write_bytes(content)
    assert read_about(tmp_path) is None
    write_about(tmp_path, ABOUT)
    assert read_about(tmp_path) == ABOUT


def test_file_of_four_terabytes_says_nothing(tmp_path: Path) -> None:
    write_about(tmp_path, ABOUT)
    os.truncate(tmp_path / ABOUT_FILE, 4 * 1024**4)
    assert read_about(tmp_path) is None
