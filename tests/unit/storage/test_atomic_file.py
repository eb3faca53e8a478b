"""Old content or new content, never anything else; and damage is always seen."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.atomic_write import create_file
from peer.errors import StorageError
from peer.network.key_file import KEY_FILE, load_identity
from peer.storage.about_file import ABOUT_FILE, read_about
from peer.storage.atomic_file import (
    FRAME_BYTES,
    frame,
    read_framed,
    remove_leftovers,
    unframe,
    write_atomic,
    write_framed,
)
from peer.storage.names_file import NAMES_FILE, load_names
from tests.unit.storage.bad_disks import FullDisk, ReadOnlyDisk

KIND = b"TEST"


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(256)) * 5000])
def test_what_was_written_is_read_back(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "file"
    write_framed(path, b"older and longer" * 9, kind=KIND)
    write_framed(path, payload, kind=KIND)
    assert read_framed(path, kind=KIND) == payload
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_pipe_or_device_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(StorageError, match="device, pipe or socket; name an ordinary file"):
            write_atomic(path, b"x")
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_link_to_what_a_program_has_open_is_never_replaced(tmp_path: Path) -> None:
    """/dev/stdout is one, and leads to an ordinary file in `murmur train > out.txt`."""
    ordinary, stdout, behind = tmp_path / "out.txt", tmp_path / "stdout", tmp_path / "link"
    with ordinary.open("w") as file:
        stdout.symlink_to(f"/proc/self/fd/{file.fileno()}")
        behind.symlink_to("stdout")
        for path in (stdout, behind):
            with pytest.raises(StorageError, match="stands for what a program has open; name an ordinary file"):
                write_atomic(path, b"x")
    with pytest.raises(StorageError, match="stands for what a program has open"):
        write_atomic(stdout, b"x")  # closed meanwhile: the link leads to nothing
    assert stdout.is_symlink()
    assert behind.is_symlink()


def test_every_single_flipped_bit_is_noticed() -> None:
    good = frame(b"some payload", kind=KIND)
    for index in range(len(good) * 8):
        bad = bytearray(good)
        bad[index // 8] ^= 1 << index % 8
        with pytest.raises(StorageError):
            unframe(bytes(bad), kind=KIND, source=Path("f"))


@pytest.mark.parametrize("size", [4 * 1024**3 - 1, 4 * 1024**4])
def test_file_of_holes_is_refused_before_it_is_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, size)
    tracemalloc.start()
    try:
        with pytest.raises(StorageError, match=f"{path} is damaged: .*; move it away to start without it"):
            read_framed(path, kind=KIND)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_every_truncation_and_extension_is_noticed() -> None:
    good = frame(b"some payload", kind=KIND)
    for size in range(len(good)):
        with pytest.raises(StorageError):
            unframe(good[:size], kind=KIND, source=Path("f"))
    with pytest.raises(StorageError, match="expected 12 bytes of payload, got 13"):
        unframe(good + b"\0", kind=KIND, source=Path("f"))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StorageError):
        unframe(data, kind=KIND, source=Path("f"))


def test_messages_name_file_cause_and_next_step(tmp_path: Path) -> None:
    path = tmp_path / "state.bin"
    path.write_bytes(b"garbage" * 20)
    with pytest.raises(StorageError) as caught:
        read_framed(path, kind=KIND)
    assert str(caught.value) == (
        f"{path} is damaged: it does not begin as a file of this program; move it away to start without it"
    )
    write_framed(path, b"x", kind=b"ELSE")
    with pytest.raises(StorageError, match="expected a file of kind b'TEST', got b'ELSE'"):
        read_framed(path, kind=KIND)
    newer = bytearray(frame(b"x", kind=KIND))
    newer[5] = 2
    path.write_bytes(newer)
    with pytest.raises(StorageError, match="format version 2, this program reads 1: use the program that wrote it"):
        read_framed(path, kind=KIND)


def test_missing_file_is_told_apart_from_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_framed(tmp_path / "absent", kind=KIND)


def test_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(StorageError, match=r"cannot read .*: is a directory; a folder stands where"):
        read_framed(tmp_path / "file", kind=KIND)
    with pytest.raises(StorageError, match=r"cannot write .*: is a directory; a folder stands where"):
        write_framed(tmp_path / "file", b"x", kind=KIND)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_pipe_in_the_place_of_a_file_holds_up_no_start(tmp_path: Path) -> None:
    for name in (ABOUT_FILE, NAMES_FILE, KEY_FILE, "frame"):
        os.mkfifo(tmp_path / name, mode=0o600)
    with pytest.raises(StorageError, match="frame is damaged: expected at least 50 bytes, got 0"):
        read_framed(tmp_path / "frame", kind=KIND)
    with pytest.raises(StorageError, match=r"identity.key is damaged \(expected 68 bytes, got 0\)"):
        load_identity(tmp_path / KEY_FILE)
    assert read_about(tmp_path) is None
    assert load_names(tmp_path) == {}


def test_absurd_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(StorageError, match="expected at most 4294967296 bytes, got 1099511627776"):
        read_framed(path, kind=KIND)


def test_mode_holds_from_the_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_atomic(path, b"key", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600


def test_link_with_the_name_of_the_temporary_file_leads_nowhere(tmp_path: Path) -> None:
    """In a folder where others may write, one could have a secret written into a file of its own."""
    others = tmp_path / "others"
    others.write_bytes(b"as it was")
    (tmp_path / f".tmp-{os.getpid()}-secret").symlink_to(others)
    write_atomic(tmp_path / "secret", b"key", mode=0o600)
    assert others.read_bytes() == b"as it was"
    assert (tmp_path / "secret").read_bytes() == b"key"
    assert not (tmp_path / "secret").is_symlink()


def test_full_disk_keeps_the_old_content_and_leaves_no_litter(full_disk: FullDisk) -> None:
    path = full_disk.folder / "file"
    write_framed(path, b"old", kind=KIND)
    full_disk.fill()
    with pytest.raises(StorageError, match=r"cannot write .*/file: .*; free some space, or set storage.data_dir"):
        write_framed(path, b"new" * 10_000, kind=KIND)
    assert read_framed(path, kind=KIND) == b"old"
    assert not list(full_disk.folder.glob(".tmp-*"))
    full_disk.free()
    write_framed(path, b"new" * 10_000, kind=KIND)
    assert read_framed(path, kind=KIND) == b"new" * 10_000


def test_read_only_disk_keeps_the_old_content(read_only_disk: ReadOnlyDisk) -> None:
    path = read_only_disk.folder / "file"
    write_framed(path, b"old", kind=KIND)
    read_only_disk.protect()
    with pytest.raises(StorageError, match=r"cannot write .*/file: .*; (mount it|let this user) "):
        write_framed(path, b"new", kind=KIND)
    assert read_framed(path, kind=KIND) == b"old"


@pytest.mark.parametrize("failing", ["write", "fsync", "close"])
def test_failure_at_any_call_keeps_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "file"
    write_framed(path, b"old", kind=KIND)
    real = getattr(os, failing)

    def fail(*args: object) -> None:
        if failing == "close":
            real(*args)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(StorageError, match="input/output error; check the disk"):
        write_framed(path, b"new", kind=KIND)
    monkeypatch.undo()
    assert read_framed(path, kind=KIND) == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_file_system_that_syncs_no_folders_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """As the shared folders of some virtual machines."""

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomic(tmp_path / "file", b"content")
    assert create_file(tmp_path / "new", b"content", mode=0o600)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"content", b"content"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:7])))
    write_framed(tmp_path / "file", b"a longer payload than seven bytes", kind=KIND)
    assert read_framed(tmp_path / "file", kind=KIND) == b"a longer payload than seven bytes"


def test_process_killed_while_writing_leaves_one_of_the_contents(tmp_path: Path) -> None:
    """Kill a writer at random moments: the file always reads as one of its whole contents."""
    path = tmp_path / "file"
    program = (
        "import sys; from pathlib import Path; from peer.storage.atomic_file import write_framed\n"
        "path = Path(sys.argv[1]); i = 0\n"
        "while True:\n"
        "    write_framed(path, bytes([i % 256]) * 300_000, kind=b'TEST'); i += 1\n"
        "    if i == 1: print('ready', flush=True)\n"
    )
    for extra_reads in (0, 3, 10, 30):
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for _ in range(extra_reads + 1):
                payload = read_framed(path, kind=KIND)
                assert payload == payload[:1] * 300_000
            process.send_signal(signal.SIGKILL)
        payload = read_framed(path, kind=KIND)
        assert payload == payload[:1] * 300_000
    remove_leftovers(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_frame_size_is_as_documented() -> None:
    assert len(frame(b"", kind=KIND)) == FRAME_BYTES
