"""The names of peers on disk: bounded, and no file however damaged is in anybody's way."""

from pathlib import Path

import pytest

from peer.storage.names_file import MAX_KEPT, NAMES_FILE, load_names, save_names
from peer.types import PeerId


def test_names_come_back_in_their_order_and_those_met_last_are_kept(tmp_path: Path) -> None:
    names = {PeerId(f"p{number}"): f"host-{number}" for number in range(MAX_KEPT + 5)}
    save_names(tmp_path, names)
    assert list(load_names(tmp_path).items()) == list(names.items())[5:]


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b'{"a": 1}', b"[" * 100_000, b'{"a": "b"'])
def test_damaged_file_holds_no_names(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAMES_FILE).write_bytes(content)
    assert load_names(tmp_path) == {}


def test_missing_file_holds_no_names(tmp_path: Path) -> None:
    assert load_names(tmp_path) == {}
