"""Kept deltas: bounded, never at the expense of state, and never of a branch that was left."""

import os
import shutil
from pathlib import Path

import pytest

from peer.errors import StorageError
from peer.storage.payloads import PayloadFolder

KIB = 1 << 10


def test_payloads_of_a_round_come_back_in_order(tmp_path: Path) -> None:
    folder = PayloadFolder(tmp_path / "p", max_bytes=KIB * KIB)
    payloads = [os.urandom(5), b"", os.urandom(70_000)]
    assert folder.load(1, sizes=[]) == []
    assert not folder.holds(1)
    assert folder.save(1, payloads)
    assert folder.holds(1)
    assert PayloadFolder(tmp_path / "p", max_bytes=0).load(1, sizes=list(map(len, payloads))) == payloads


def test_oldest_rounds_are_dropped_to_stay_below_the_bound(tmp_path: Path) -> None:
    folder = PayloadFolder(tmp_path, max_bytes=10 * KIB)
    for number in range(1, 30):
        assert folder.save(number, [os.urandom(2 * KIB)])
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10 * KIB
    assert [number for number in range(1, 30) if folder.holds(number)] == [26, 27, 28, 29]


@pytest.mark.parametrize(("size", "kept"), [(10 * KIB - 60, True), (10 * KIB - 59, False)])
def test_round_above_the_bound_is_not_kept_and_replaces_nothing_else(tmp_path: Path, size: int, *, kept: bool) -> None:
    folder = PayloadFolder(tmp_path, max_bytes=10 * KIB)
    assert folder.save(2, [bytes(size)]) is kept
    assert folder.holds(2) is kept


def test_bound_of_zero_keeps_nothing(tmp_path: Path) -> None:
    folder = PayloadFolder(tmp_path / "never", max_bytes=0)
    assert not folder.save(1, [b"x"])
    assert not (tmp_path / "never").exists()


def test_disk_with_less_free_than_the_bound_is_left_to_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = PayloadFolder(tmp_path, max_bytes=10 * KIB)
    usage = shutil.disk_usage(tmp_path)._replace(free=10 * KIB - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert not folder.save(1, [b"x"])
    usage = usage._replace(free=10 * KIB)
    assert folder.save(1, [b"x"])


def test_another_branch_drops_the_rounds_above_it(tmp_path: Path) -> None:
    folder = PayloadFolder(tmp_path, max_bytes=KIB * KIB)
    for number in range(1, 6):
        folder.save(number, [b"old"])
    folder.save(3, [b"new"])
    assert [number for number in range(1, 6) if folder.holds(number)] == [1, 2, 3]
    assert folder.load(3, sizes=[3]) == [b"new"]
    folder.forget_from(2)
    assert [number for number in range(1, 6) if folder.holds(number)] == [1]


def test_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = PayloadFolder(tmp_path, max_bytes=KIB * KIB)
    folder.save(7, [b"abc"])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StorageError, match=path.name):
        folder.load(7, sizes=[9])


def test_file_that_is_larger_than_its_payloads_is_not_read(tmp_path: Path) -> None:
    folder = PayloadFolder(tmp_path, max_bytes=1000)
    folder.save(1, [b"four", b"five!"])
    assert folder.load(1, sizes=[4, 5]) == [b"four", b"five!"]
    folder.save(1, [b"x" * 100])
    with pytest.raises(StorageError, match=r"round-0000000000001.bin is damaged: expected at most \d+ bytes, got"):
        folder.load(1, sizes=[4, 5])
