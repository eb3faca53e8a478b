"""The newest good snapshot is found whatever happened to the others."""

import errno
import os
from pathlib import Path

import pytest

from peer.errors import StorageError
from peer.storage.atomic_file import write_framed
from peer.storage.snapshots import Snapshot, SnapshotStore
from peer.types import Digest
from tests.unit.storage.bad_disks import FullDisk, ReadOnlyDisk


def snapshot(number: int, size: int = 100) -> Snapshot:
    return Snapshot(round=number, digest=Digest(number.to_bytes(32)), content=bytes([number % 256]) * size)


def store_with(folder: Path, *rounds: int, keep: int = 3) -> tuple[SnapshotStore, list[Path]]:
    store = SnapshotStore(folder, keep=keep)
    return store, [store.save(snapshot(number)) for number in rounds]


def test_newest_is_loaded_and_only_the_last_are_kept(tmp_path: Path) -> None:
    _, paths = store_with(tmp_path / "snapshots", 10, 20, 30, 40, 50)
    assert [path.exists() for path in paths] == [False, False, True, True, True]
    loaded = SnapshotStore(tmp_path / "snapshots", keep=3).load_newest()
    assert loaded.snapshot == snapshot(50)
    assert loaded.damaged == ()


def test_newest_is_the_last_written_even_of_a_lower_round(tmp_path: Path) -> None:
    store, _ = store_with(tmp_path, 100, 110, 95)
    assert store.load_newest().snapshot == snapshot(95)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "other_file", "folder", "short"])
def test_damaged_newest_falls_back_to_the_one_before_and_says_so(tmp_path: Path, damage: str) -> None:
    store, paths = store_with(tmp_path, 10, 20, 30)
    good = paths[-1].read_bytes()
    flipped = good[:60] + bytes([good[60] ^ 1]) + good[61:]
    damaged = {"flip": flipped, "truncate": good[:70], "empty": b"", "other_file": b"x" * 500}
    paths[-1].write_bytes(damaged.get(damage, b""))
    if damage == "short":  # whole, and less than a snapshot
        write_framed(paths[-1], good[40:60], kind=b"SNAP")
    if damage == "folder":
        paths[-1].unlink()
        paths[-1].mkdir()
    loaded = store.load_newest()
    assert loaded.snapshot == snapshot(20)
    assert [entry.path for entry in loaded.damaged] == [paths[-1]]
    assert str(paths[-1]) in loaded.damaged[0].cause
    again = store.load_newest()
    assert (again.snapshot, again.damaged) == (snapshot(20), ())


def test_all_damaged_gives_none_and_reports_each(tmp_path: Path) -> None:
    store, paths = store_with(tmp_path, 10, 20, 30)
    for path in paths:
        path.write_bytes(b"zeros")
    loaded = store.load_newest()
    assert loaded.snapshot is None
    assert len(loaded.damaged) == 3
    assert store.save(snapshot(40)).exists()
    assert store.load_newest().snapshot == snapshot(40)


def fail_to_read(monkeypatch: pytest.MonkeyPatch, *failing: Path) -> None:
    real = os.open

    def opened(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if Path(path) in failing:
            raise OSError(errno.EIO, "Input/output error")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", opened)


def test_what_the_disk_does_not_give_is_passed_over_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, paths = store_with(tmp_path, 10, 20, 30)
    with monkeypatch.context() as patched:
        fail_to_read(patched, paths[-1])
        loaded = store.load_newest()
    assert loaded.snapshot == snapshot(20)
    assert [entry.cause for entry in loaded.damaged] == [
        f"cannot read {paths[-1]}: input/output error; check the disk (dmesg, smartctl)"
    ]
    assert store.load_newest().snapshot == snapshot(30)


def test_a_disk_that_gives_none_is_not_taken_for_one_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, paths = store_with(tmp_path, 10, 20, 30)
    paths[0].write_bytes(b"damaged")
    with monkeypatch.context() as patched:
        fail_to_read(patched, *paths[1:])
        with pytest.raises(StorageError) as caught:
            store.load_newest()
    assert str(caught.value) == (
        f"cannot read {paths[-1]}: input/output error; check the disk (dmesg, smartctl); or move it away to start"
        " without it"
    )
    assert store.load_newest().snapshot == snapshot(30)


def test_a_link_to_what_is_not_mounted_is_not_taken_for_an_empty_folder(tmp_path: Path) -> None:
    store, _ = store_with(tmp_path / "disk", 10)
    (tmp_path / "snapshots").symlink_to(tmp_path / "disk")
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    store = SnapshotStore(tmp_path / "snapshots", keep=3)
    with pytest.raises(StorageError, match=r"cannot list .*/snapshots: no such file or directory; check that"):
        store.load_newest()
    (tmp_path / "elsewhere").rename(tmp_path / "disk")
    assert store.load_newest().snapshot == snapshot(10)


def test_damaged_files_do_not_pile_up(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, keep=2)
    for number in range(1, 12):
        store.save(snapshot(number)).write_bytes(b"bad")
        store.load_newest()
    assert len(list(tmp_path.iterdir())) <= 2 * 2


def test_no_folder_means_no_snapshot(tmp_path: Path) -> None:
    assert SnapshotStore(tmp_path / "absent", keep=2).load_newest().snapshot is None


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "snapshot-x.bin").write_text("mine")
    store, _ = store_with(tmp_path, 1, 2, 3, 4)
    assert store.load_newest().snapshot == snapshot(4)
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / "snapshot-x.bin").exists()


def test_full_disk_keeps_the_last_good_snapshot(full_disk: FullDisk) -> None:
    store = SnapshotStore(full_disk.folder / "snapshots", keep=2)
    store.save(snapshot(10))
    full_disk.fill()
    with pytest.raises(StorageError, match="free some space"):
        store.save(snapshot(20, size=30_000))
    assert store.load_newest().snapshot == snapshot(10)
    full_disk.free()
    store.save(snapshot(30, size=20_000))
    assert store.load_newest().snapshot == snapshot(30, size=20_000)


def test_read_only_disk_refuses_to_save_and_still_loads(read_only_disk: ReadOnlyDisk) -> None:
    store, paths = store_with(read_only_disk.folder / "snapshots", 10, 20)
    paths[1].write_bytes(b"damaged")
    read_only_disk.protect()
    with pytest.raises(StorageError, match="cannot write"):
        store.save(snapshot(30))
    assert store.load_newest().snapshot == snapshot(10)


def test_store_of_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep must be at least 2"):
        SnapshotStore(tmp_path, keep=1)


@pytest.mark.parametrize(("number", "digest"), [(-1, bytes(32)), (1 << 64, bytes(32)), (1, bytes(31))])
def test_impossible_snapshot_is_refused(tmp_path: Path, number: int, digest: bytes) -> None:
    with pytest.raises(ValueError, match="bad snapshot"):
        SnapshotStore(tmp_path, keep=2).save(Snapshot(round=number, digest=Digest(digest), content=b""))
