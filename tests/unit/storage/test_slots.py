"""Each replica its own folder: lowest first, freed by death, never shared."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peer.config.load import load_config
from peer.doctor.machine_checks import check_disk
from peer.errors import StorageError
from peer.storage import slots
from peer.storage.file_lock import WITHOUT_LOCKS
from peer.storage.slots import claim_slot, free_slots, tell_slot
from tests.unit.storage.bad_disks import FullDisk, ReadOnlyDisk

CLAIM = (
    "import sys; from pathlib import Path; from peer.storage.slots import claim_slot\n"
    "slot = claim_slot(Path(sys.argv[1])); print(slot.index, flush=True); sys.stdin.read()\n"
)
FORK = (
    "import os, sys, time; from pathlib import Path; from peer.storage.slots import claim_slot\n"
    "slot = claim_slot(Path(sys.argv[1]))\n"
    "if os.fork() == 0: print(os.getpid(), flush=True); time.sleep(60); os._exit(0)\n"
    "sys.stdin.read()\n"
)


def test_slots_are_taken_from_the_lowest_and_named(tmp_path: Path) -> None:
    with claim_slot(tmp_path / "new" / "data") as first, claim_slot(tmp_path / "new" / "data") as second:
        assert (first.index, first.name) == (0, "peer-1")
        assert (second.index, second.name) == (1, "peer-2")
        assert second.path == tmp_path / "new" / "data" / "slot-1"
        first.close()
        with claim_slot(tmp_path / "new" / "data") as third:
            assert third.index == 0


def test_slot_that_is_asked_for_is_taken_or_refused(tmp_path: Path) -> None:
    with claim_slot(tmp_path, 2) as slot:
        assert (slot.index, slot.path) == (2, tmp_path / "slot-2")
        with pytest.raises(
            StorageError, match=r"another process \(\d+\) holds .*/slot-2: stop it, or take another storage"
        ):
            claim_slot(tmp_path, 2)
        assert not (tmp_path / "slot-0").exists()


@pytest.mark.parametrize("number", WITHOUT_LOCKS)
def test_file_system_without_locks_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError) as caught:
        claim_slot(tmp_path)
    assert str(caught.value) == (
        f"cannot lock {tmp_path}/slot-0: its file system has no locks ({os.strerror(number).lower()}), without which"
        " two processes could be one peer; set storage.data_dir to a folder on a local disk"
    )
    (finding,) = check_disk(load_config([], {}, [f"storage.data_dir={tmp_path}"]))
    assert finding.text.startswith(f"cannot lock {tmp_path}: its file system has no locks")


def test_free_slots_are_the_lowest_that_nobody_holds_and_stay_free(tmp_path: Path) -> None:
    with claim_slot(tmp_path, 1):
        assert free_slots(tmp_path, 3) == [0, 2, 3]
        assert free_slots(tmp_path, 2) == [0, 2]


def test_closing_twice_harms_nobody(tmp_path: Path) -> None:
    slot = claim_slot(tmp_path)
    slot.close()
    with claim_slot(tmp_path) as other:
        slot.close()
        with claim_slot(tmp_path) as third:
            assert (other.index, third.index) == (0, 1)


def test_sixteen_processes_at_once_get_sixteen_slots_and_killed_ones_are_free_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLAIM, str(tmp_path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(16)]
    try:
        taken = [int(process.stdout.readline()) for process in processes if process.stdout]
        assert sorted(taken) == list(range(16))
        victim = taken.index(7)
        processes[victim].kill()
        processes[victim].wait()
        with claim_slot(tmp_path) as slot:
            assert slot.index == 7
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_what_a_killed_peer_has_forked_does_not_hold_its_slot(tmp_path: Path) -> None:
    """Else the peer returned as a stranger, in the next slot, while a simulator of its environment lives on."""
    command = [sys.executable, "-c", FORK, str(tmp_path)]
    peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert peer.stdout is not None
    child = int(peer.stdout.readline())
    try:
        with claim_slot(tmp_path) as other:
            assert other.index == 1, "the peer itself holds on"
        peer.kill()
        peer.wait()
        with claim_slot(tmp_path) as again:
            assert again.index == 0
    finally:
        os.kill(child, signal.SIGKILL)
        peer.kill()
        peer.communicate()


def test_lock_file_that_was_deleted_is_not_shared(tmp_path: Path) -> None:
    """Someone cleans up by hand: the holder keeps its slot's name, but a newcomer must not think it free."""
    with claim_slot(tmp_path) as first:
        assert (first.path / "lock").read_text().strip().isdecimal()
        with claim_slot(tmp_path) as second:
            assert second.index == 1


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    (tmp_path / "slot-0").mkdir()
    (tmp_path / "slot-0" / ".tmp-123-snapshot").write_bytes(b"half")
    (tmp_path / "slot-0" / "identity").write_bytes(b"key")
    with claim_slot(tmp_path) as slot:
        assert sorted(path.name for path in slot.path.iterdir()) == ["identity", "lock"]


def test_full_disk_still_gives_a_slot_that_exists(full_disk: FullDisk) -> None:
    claim_slot(full_disk.folder).close()
    full_disk.fill()
    with claim_slot(full_disk.folder) as slot:
        assert slot.index == 0


def test_read_only_folder_is_refused_with_a_next_step(read_only_disk: ReadOnlyDisk) -> None:
    read_only_disk.protect()
    with pytest.raises(StorageError, match=r"cannot use .*: [a-z -]+; (mount it|let this user) "):
        claim_slot(read_only_disk.folder / "data")


def test_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StorageError, match=r"cannot use .*/data: "):
        claim_slot(tmp_path / "data")


def test_all_slots_taken_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "MAX_SLOTS", 2)
    with claim_slot(tmp_path), claim_slot(tmp_path), pytest.raises(StorageError, match=r"all 2 slots in .* are taken"):
        claim_slot(tmp_path)


def test_peers_of_two_runs_find_their_slots_again_in_any_order(tmp_path: Path) -> None:
    """Else one began anew, with the other's identity, and said nothing of its state in the other slot."""
    for slot, run in (("slot-0", "run-a"), ("slot-1", "run-b"), ("slot-old", "run-b")):
        (tmp_path / slot / run).mkdir(parents=True)
    with claim_slot(tmp_path, holding="run-b") as second, claim_slot(tmp_path, holding="run-a") as first:
        assert (first.index, second.index) == (0, 1)
        with claim_slot(tmp_path, holding="run-b") as newcomer:
            assert newcomer.index == 2
    with claim_slot(tmp_path, holding="run-c") as another:
        assert another.index == 0
    with claim_slot(tmp_path, 0, holding="run-b") as told:
        assert told.index == 0


def test_health_check_finds_the_slot_where_the_setting_says(tmp_path: Path) -> None:
    tell_slot(tmp_path / "slot-3", file=tmp_path / "told")
    assert (tmp_path / "told").read_text() == f"{tmp_path / 'slot-3'}\n"


def test_slot_file_that_cannot_be_written_is_told_as_the_setting_that_it_is(tmp_path: Path) -> None:
    """A container without its tmpfs: another storage.data_dir, which is the advice elsewhere, would change nothing."""
    with pytest.raises(StorageError, match=r"storage\.slot_file .*: not a directory; mount a tmpfs there") as raised:
        tell_slot(tmp_path / "slot-3", file=Path(__file__) / "told")
    assert "data_dir" not in str(raised.value)
