"""Two small files: how often an identity was started, and when the peer was last alive."""

import os
from pathlib import Path

import pytest

from peer.errors import StorageError
from peer.storage.boots import count_boot, raise_boot
from peer.storage.heartbeat import Heartbeat
from tests.unit.storage.bad_disks import FullDisk, ReadOnlyDisk


def test_boots_are_counted_over_restarts(tmp_path: Path) -> None:
    assert [count_boot(tmp_path / "boots", unix_time_s=5).number for _ in range(4)] == [1, 2, 3, 4]


def test_count_goes_on_from_starts_that_were_counted_in_a_copy_of_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "boots"
    count_boot(path, unix_time_s=5)
    raise_boot(path, 7)
    assert count_boot(path, unix_time_s=5).number == 8
    raise_boot(path, 3)  # fewer than our own
    raise_boot(path, 1 << 60)  # more than can be: it would leave no room for sequences
    assert count_boot(path, unix_time_s=5).number == 9


def test_damaged_count_goes_on_above_any_earlier_one_and_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "boots"
    for _ in range(3):
        count_boot(path, unix_time_s=0)
    path.write_bytes(b"\0" * 58)
    boot = count_boot(path, unix_time_s=1_800_000_000)
    assert boot.number == 1_800_000_000
    assert boot.damage is not None
    assert "boots is damaged" in boot.damage
    after = count_boot(path, unix_time_s=7)
    assert (after.number, after.damage) == (1_800_000_001, None)


def test_boot_that_cannot_be_stored_is_not_used(full_disk: FullDisk) -> None:
    path = full_disk.folder / "boots"
    count_boot(path, unix_time_s=0)
    full_disk.fill()
    with pytest.raises(StorageError, match="cannot write"):
        count_boot(path, unix_time_s=0)
    full_disk.free()
    assert count_boot(path, unix_time_s=0).number == 2


def test_heartbeat_moves_the_time_of_its_file(tmp_path: Path) -> None:
    heartbeat = Heartbeat(tmp_path)
    heartbeat.beat()
    os.utime(heartbeat.path, (1, 1))
    heartbeat.beat()
    assert heartbeat.path.stat().st_mtime > 1


def test_heartbeat_needs_no_space(full_disk: FullDisk) -> None:
    heartbeat = Heartbeat(full_disk.folder)
    heartbeat.beat()
    os.utime(heartbeat.path, (1, 1))
    full_disk.fill()
    heartbeat.beat()
    assert heartbeat.path.stat().st_mtime > 1


def test_heartbeat_on_a_read_only_disk_is_a_storage_error(read_only_disk: ReadOnlyDisk) -> None:
    heartbeat = Heartbeat(read_only_disk.folder)
    heartbeat.beat()
    read_only_disk.protect()
    with pytest.raises(StorageError, match="cannot touch"):
        heartbeat.beat()
