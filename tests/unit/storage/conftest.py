"""Disks that fail: full ones and read-only ones, without and (where this user may mount) with a real file system."""

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.unit.storage.bad_disks import FullDisk, ReadOnlyDisk, can_mount, tmpfs

NOBODY = 65_534


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Lift the limit of `full_disk` before pytest reports: its own output may be a file, which is limited too."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(params=["file_size_limit", "tmpfs"])
def full_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FullDisk]:
    """A folder with room for 256 KiB that can be told to be full, and to have room again."""
    if request.param == "tmpfs" and can_mount():
        with tmpfs(tmp_path / "small", size_bytes=262_144) as folder:
            yield FullDisk(folder=folder, fill=lambda: _fill(folder), free=lambda: (folder / "ballast").unlink())
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield FullDisk(
            folder=tmp_path,
            fill=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard)),
            free=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)),
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=["permission", "read_only_mount"])
def read_only_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadOnlyDisk]:
    """A folder that takes writes until it is told not to."""
    if request.param == "read_only_mount" and can_mount():
        with tmpfs(tmp_path / "disk", size_bytes=1 << 20) as folder:
            remount = ["mount", "-o", "remount,ro", str(folder)]
            yield ReadOnlyDisk(folder=folder, protect=lambda: _run(remount))
        return
    with _folder_for_everybody() as folder, contextlib.ExitStack() as stack:
        yield ReadOnlyDisk(folder=folder, protect=lambda: _withdraw_rights(folder, stack))


@contextlib.contextmanager
def _folder_for_everybody() -> Iterator[Path]:
    """pytest's own folders belong to root alone, and root may write everywhere: tests then act as nobody."""
    folder = Path(tempfile.mkdtemp(prefix="murmur-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _withdraw_rights(folder: Path, stack: contextlib.ExitStack) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
        stack.callback(path.chmod, 0o755)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        stack.callback(os.seteuid, 0)


def _fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)
