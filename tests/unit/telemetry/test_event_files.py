"""Event files, as TensorBoard reads them: also after a restart, and on a disk that fails."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from peer.errors import StorageError
from peer.telemetry import event_files as module
from peer.telemetry.event_files import EventFileWriter, Point, new_run_folder, require_tensorboardx
from tests.event_reader import event_files, read_scalars, read_text
from tests.unit.storage.bad_disks import can_mount, tmpfs


def writer(folder: Path, *, begins_at: int = 0, text: str = "as it is") -> EventFileWriter:
    return EventFileWriter(folder, begins_at=begins_at, texts={"settings": text})


def points(*steps: int, tag: str = "a/b", value: float = 0.5) -> list[Point]:
    return [Point(step=step, scalars={tag: value * step}) for step in steps]


def test_what_is_written_is_what_tensorboard_reads(tmp_path: Path) -> None:
    made = writer(tmp_path / "run", text="    ppo.gamma=0.99")
    made.write(points(0, 10))
    made.write([Point(step=2**40, scalars={"a/b": -1.5, "c": 3.0})])
    assert read_scalars(tmp_path / "run") == {"a/b": {0: 0.0, 10: 5.0, 2**40: -1.5}, "c": {2**40: 3.0}}
    assert read_text(tmp_path / "run", "settings") == "    ppo.gamma=0.99"


def test_nothing_is_made_before_there_is_a_point(tmp_path: Path) -> None:
    made = writer(tmp_path / "run")
    made.write([])
    made.close()
    assert not (tmp_path / "run").exists()


def test_a_later_life_writes_a_file_of_its_own_and_replaces_what_it_does_not_stand_on(tmp_path: Path) -> None:
    first = writer(tmp_path)
    first.write(points(10, 20, 30, 40))  # then killed, with nothing saved since step 20
    second = writer(tmp_path, begins_at=21)
    second.write(points(30, value=7.0))
    assert len(event_files(tmp_path)) == 2
    assert read_scalars(tmp_path) == {"a/b": {10: 5.0, 20: 10.0, 30: 210.0}}


def test_steps_that_fall_replace_those_above(tmp_path: Path) -> None:
    made = writer(tmp_path)
    made.write(points(10, 20, 30, 40))
    made.write(points(25, value=7.0))
    assert read_scalars(tmp_path) == {"a/b": {10: 5.0, 20: 10.0, 25: 175.0}}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if not can_mount():
        pytest.skip("this user may not mount a disk that is full")
    with tmpfs(tmp_path / "disk", size_bytes=65_536) as folder:
        yield folder


def test_a_full_disk_takes_all_of_the_points_or_none_and_later_the_same(small_disk: Path) -> None:
    made = writer(small_disk / "run")
    made.write(points(1))
    with contextlib.suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(4096)):
            pass
    many = points(*range(2, 200))
    with pytest.raises(StorageError, match=r"cannot write TensorBoard files in .*/run: no space left on device; free"):
        made.write(many)
    assert read_scalars(small_disk / "run") == {"a/b": {1: 0.5}}
    (small_disk / "ballast").unlink()
    made.write(many)
    assert read_scalars(small_disk / "run") == {"a/b": {step: 0.5 * step for step in range(1, 200)}}
    assert len(event_files(small_disk / "run")) == 1


def test_a_file_that_cannot_be_repaired_is_left_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = writer(tmp_path)
    made.write(points(1))

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(module, "_write_all", fail)
        broken.setattr(os, "truncate", fail)
        with pytest.raises(StorageError, match="check the disk"):
            made.write(points(2))
    made.write(points(2))
    assert len(event_files(tmp_path)) == 2
    assert read_scalars(tmp_path) == {"a/b": {1: 0.5, 2: 1.0}}


def test_files_that_somebody_removed_are_begun_anew(tmp_path: Path) -> None:
    made = writer(tmp_path / "run")
    made.write(points(1))
    (file,) = event_files(tmp_path / "run")
    file.unlink()
    (tmp_path / "run").rmdir()
    made.write(points(2))
    assert read_scalars(tmp_path / "run") == {"a/b": {2: 1.0}}


def test_a_folder_in_the_way_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(StorageError, match=r"cannot write TensorBoard files in .*/run: file exists; a file stands"):
        writer(tmp_path / "run").write(points(1))


def test_the_oldest_files_go_when_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_FILES", 3)
    (tmp_path / "notes").write_text("mine")
    for number in range(5):
        (tmp_path / f"events.out.tfevents.100000000{number}.host").touch()
    writer(tmp_path).write(points(1))
    left = [file.name for file in event_files(tmp_path)]
    assert left[:2] == ["events.out.tfevents.1000000003.host", "events.out.tfevents.1000000004.host"]
    assert len(left) == 3
    assert (tmp_path / "notes").exists()


def test_every_new_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert new_run_folder(tmp_path / "tb", "cartpole") == tmp_path / "tb" / "cartpole_1"
    assert new_run_folder(tmp_path / "tb", "cartpole") == tmp_path / "tb" / "cartpole_2"
    (tmp_path / "tb" / "cartpole_9").mkdir()
    (tmp_path / "tb" / "cartpole_10_old").mkdir()
    assert new_run_folder(tmp_path / "tb", "cartpole").name == "cartpole_10"
    assert new_run_folder(tmp_path / "tb", "cart").name == "cart_1"


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_tensorboardx("log.tensorboard")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=r"^log\.tensorboard needs tensorboardX, .*: pip install tensorboardX$"):
        require_tensorboardx("log.tensorboard")


def test_torch_is_not_loaded_for_it_and_can_still_be_found(tmp_path: Path) -> None:
    program = (
        "import importlib.util, pathlib, sys\n"
        "from peer.telemetry.event_files import EventFileWriter, Point\n"
        "made = EventFileWriter(pathlib.Path(sys.argv[1]), begins_at=0, texts={'a': 'b'})\n"
        "made.write([Point(step=1, scalars={'c': 1.0})])\n"
        "assert 'tensorboardX' in sys.modules\n"
        "print('torch' in sys.modules, importlib.util.find_spec('torch') is not None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split()[0] == "False"
    assert done.stdout.split()[1] == "True"
