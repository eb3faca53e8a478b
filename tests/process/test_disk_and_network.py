"""A machine that does not cooperate: full, read-only or wrong disks, taken ports, names without an address."""

import contextlib
import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.held_port import held_port
from tests.process.murmur import START_S, Murmur, MurmurProcess
from tests.unit.storage.bad_disks import can_mount, read_only_above, tmpfs


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallDisk:
    """fill, free: what makes the running peer's next write fail, and succeed again."""

    folder: Path
    fill: Callable[[MurmurProcess], None]
    free: Callable[[MurmurProcess], None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of 1 MiB where this user may mount one; else a peer whose files may not grow any more."""
    if not can_mount():
        yield SmallDisk(folder=tmp_path / "disk", fill=_forbid_growth, free=_allow_growth)
        return
    with tmpfs(tmp_path / "disk", size_bytes=1 << 20) as folder:
        yield SmallDisk(folder=folder, fill=lambda _: _fill(folder), free=lambda _: (folder / "ballast").unlink())


def _fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _forbid_growth(peer: MurmurProcess) -> None:
    resource.prlimit(peer.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def _allow_growth(peer: MurmurProcess) -> None:
    resource.prlimit(peer.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextlib.contextmanager
def born_full() -> Iterator[None]:
    """Have processes started now fail at their first byte to a file, as on a full disk.

    Held for the start alone: the limit is also that of pytest, whose own report may go to a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_disk_that_fills_up_costs_no_training_and_is_used_again_when_freed(
    murmur: Murmur, small_disk: SmallDisk
) -> None:
    setting = f"storage.data_dir={small_disk.folder}"
    peer = murmur.peer("a", setting, "round.snapshot_every=2")
    peer.wait_for("round_sealed", within_s=START_S)
    small_disk.fill(peer)
    failed = peer.wait_for("storage_failed")
    assert failed["level"] == "error"
    assert "free" in failed["cause"], "no next step"
    peer.wait_for_round(tip := peer.named("round_sealed")[-1]["round"] + 3)
    small_disk.free(peer)
    peer.wait_for_round(tip + 3)
    assert peer.stop() == 0, peer.output
    (saved,) = peer.named("state_saved")
    again = murmur.peer("a", setting)
    restored = again.wait_for("state_restored", within_s=START_S)
    assert (restored["round"], restored["model"]) == (saved["round"], saved["model"])
    assert again.stop() == 0


def wait_for_snapshot(peer: MurmurProcess, number: int) -> None:
    """Wait until a state of that round or a later one is on disk; the log must be of level debug."""
    peer.wait_for("snapshot_saved", lambda event: event["round"] >= number, within_s=START_S)


def test_stop_on_a_full_disk_keeps_the_last_good_state(murmur: Murmur, small_disk: SmallDisk) -> None:
    setting = f"storage.data_dir={small_disk.folder}"
    peer = murmur.peer("a", setting, "round.snapshot_every=2", "log.level=debug")
    wait_for_snapshot(peer, 2)
    small_disk.fill(peer)
    peer.wait_for("storage_failed", lambda event: event["operation"] == "save a snapshot")  # of what is not there yet
    assert peer.stop() == 0, peer.output
    assert not peer.named("state_saved")  # it does not claim what it could not do
    if (small_disk.folder / "ballast").exists():
        small_disk.free(peer)
    again = murmur.peer("a", setting)
    assert again.wait_for("state_restored", within_s=START_S)["round"] >= 2
    assert again.stop() == 0


def test_data_dir_that_becomes_read_only_costs_no_training_and_keeps_the_last_good_state(murmur: Murmur) -> None:
    peer = murmur.peer("a", "round.snapshot_every=2", "log.level=debug")
    wait_for_snapshot(peer, 4)
    with _read_only(murmur.folder / "a", peer):
        good = {path: path.read_bytes() for path in (murmur.folder / "a").rglob("snapshot-*.bin")}
        seen = len(peer.events)
        failed = peer.wait_for("storage_failed", lambda event: event["operation"] == "save a snapshot", after=seen)
        assert failed["level"] == "error"
        assert "; " in failed["cause"], "no next step"
        first = peer.wait_for("round_sealed", after=len(peer.events))["round"]
        peer.wait_for_round(first + 3)
        newest = max(good)
        assert newest.read_bytes() == good[newest]
        assert peer.stop() == 0, peer.output
        assert not peer.named("state_saved")  # it does not claim what it could not do
    assert "Traceback" not in peer.output
    again = murmur.peer("a", "round.snapshot_every=2")
    assert again.wait_for("state_restored", within_s=START_S)["round"] >= 4
    again.wait_for("round_sealed", within_s=START_S)
    assert again.stop() == 0, again.output


def test_data_dir_that_becomes_writable_again_is_used_again(murmur: Murmur) -> None:
    peer = murmur.peer("a", "round.snapshot_every=2")
    peer.wait_for_round(3)
    with _read_only(murmur.folder / "a", peer):
        peer.wait_for("storage_failed", lambda event: event["operation"] == "save a snapshot")
    tip = peer.named("round_sealed")[-1]["round"]
    peer.wait_for_round(tip + 4)
    _assert_chain_is_good(murmur)  # while the peer writes it
    assert peer.stop() == 0, peer.output
    (saved,) = peer.named("state_saved")
    assert saved["round"] >= tip + 4
    _assert_chain_is_good(murmur)


def _assert_chain_is_good(murmur: Murmur) -> None:
    checked = murmur.run("log", "--verify", "--data-dir", str(murmur.folder / "a"))
    assert checked.wait(within_s=START_S) == 0, checked.output
    assert checked.lines[-1] == "good: nothing contradicts the chain"


@contextlib.contextmanager
def _read_only(folder: Path, peer: MurmurProcess) -> Iterator[None]:
    """A read-only folder where this user may mount one; else a peer whose files may not grow any more."""
    if can_mount():
        with read_only_above(folder):
            yield
        return
    _forbid_growth(peer)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            _allow_growth(peer)


def test_start_on_a_full_disk_says_so_and_exits(murmur: Murmur) -> None:
    with born_full():
        peer = murmur.peer("a")
    assert peer.wait(within_s=START_S) == 2
    (line,) = peer.lines
    key = murmur.folder / "a" / "slot-0" / "identity.key"
    assert line == (
        f"murmur: cannot write the identity file {key}: file too large;"
        " free some space, or set storage.data_dir to another disk"
    )
    assert not key.exists()  # no half of a key is left to trip over


def test_start_on_a_read_only_disk_says_so_and_exits(murmur: Murmur, tmp_path: Path) -> None:
    if not can_mount():
        peer = murmur.peer("a", "storage.data_dir=/proc/murmur")
        assert peer.wait(within_s=START_S) == 2
        assert peer.lines[0].startswith("murmur: cannot use /proc/murmur: ")
        return
    with tmpfs(tmp_path / "disk", size_bytes=1 << 20) as folder:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        peer = murmur.peer("a", f"storage.data_dir={folder}")
        assert peer.wait(within_s=START_S) == 2
        assert peer.lines == [
            f"murmur: cannot use {folder}/slot-0: read-only file system;"
            " mount it writable, or set storage.data_dir to a folder that is"
        ]


def test_data_dir_that_is_a_file_is_named(murmur: Murmur) -> None:
    (murmur.folder / "file").write_text("mine")
    peer = murmur.peer("file")
    assert peer.wait(within_s=START_S) == 2
    (line,) = peer.lines
    assert line.startswith(f"murmur: cannot use {murmur.folder}/file: ")
    assert (murmur.folder / "file").read_text() == "mine"


def test_port_in_use_is_named_with_what_to_do(murmur: Murmur) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        peer = murmur.peer("a", port=port)
        assert peer.wait(within_s=START_S) == 2
    assert peer.lines[-1] == (
        f"murmur: cannot listen on /ip4/127.0.0.1/tcp/{port}: another process uses this port: stop it, or choose"
        " another port (0: any free one)"
    )
    assert "Traceback" not in peer.output


def test_address_of_another_machine_is_named(murmur: Murmur) -> None:
    peer = murmur.peer("a", "network.listen_host=192.0.2.1")
    assert peer.wait(within_s=START_S) == 2
    assert "this machine has no such address" in peer.lines[-1]


def test_name_that_does_not_resolve_is_told_and_the_peer_trains_alone(murmur: Murmur) -> None:
    peer = murmur.peer("a", "network.dns=[no-such-host.invalid]")
    told = peer.wait_for("discovery_failed", within_s=START_S)
    assert "no-such-host.invalid" in told["source"]
    assert "cannot resolve" in told["cause"]
    peer.wait_for_round(8)
    assert len(peer.named("discovery_failed")) <= 3
    assert peer.stop() == 0, peer.output


def test_addresses_where_nobody_answers_are_dialled_quietly_for_ever(murmur: Murmur) -> None:
    with held_port() as port:
        quick = ("network.redial_min_s=0.2", "network.redial_max_s=0.4")
        peer = murmur.peer("a", f"network.addresses=[/ip4/127.0.0.1/tcp/{port}]", "log.level=debug", *quick)
        first = peer.wait_for("dial_retried", within_s=START_S)
        assert first["level"] == "debug"  # the others may still be starting
        failed = peer.wait_for("dial_failed")
        assert failed["failures"] == 4
        assert "connection refused" in failed["cause"]
        late = murmur.peer("b", port=port)
        peer.wait_for("peer_joined", within_s=START_S)
        late.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
        assert peer.stop() == 0
        assert late.stop() == 0
