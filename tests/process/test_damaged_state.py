"""A peer started on files that something has damaged: it says what, uses what is left, and never crashes."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.process.murmur import START_S, Event, Murmur, MurmurProcess, identity_of

SETTINGS = ("round.snapshot_every=2",)


@pytest.fixture(scope="module")
def stopped_peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Event, str]]:
    """Return a data folder with several snapshots, what was saved in it last, and whose it is."""
    with ExitStack() as stack:
        murmur = Murmur(tmp_path_factory.mktemp("stopped"), stack)
        peer = murmur.peer("a", *SETTINGS)
        peer.wait_for_round(7)
        assert peer.stop() == 0, peer.output
        yield murmur.folder / "a", peer.named("state_saved")[0], identity_of(peer)


@pytest.fixture
def slot(murmur: Murmur, stopped_peer: tuple[Path, Event, str]) -> Path:
    """Return a copy of that folder's slot, which the test may ruin and `murmur.peer("a")` then runs on."""
    shutil.copytree(stopped_peer[0], murmur.folder / "a")
    return murmur.folder / "a" / "slot-0"


def _flip_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES = [_flip_middle, _truncate, _empty, _zeros]


def _snapshots(slot: Path) -> list[Path]:
    return sorted(slot.glob("cartpole-*/snapshots/snapshot-*.bin"))


def _run_file(slot: Path, name: str) -> Path:
    (path,) = slot.glob(f"cartpole-*/{name}")
    return path


def _assert_trains(peer: MurmurProcess) -> None:
    first = peer.wait_for("round_sealed", within_s=START_S)["round"]
    peer.wait_for_round(first + 1)
    assert peer.stop() == 0, peer.output
    assert "Traceback" not in peer.output


@pytest.mark.parametrize("damage", [_flip_middle, _empty])
def test_damaged_newest_snapshot_falls_back_to_the_one_before(
    murmur: Murmur, slot: Path, stopped_peer: tuple[Path, Event, str], damage: Callable[[Path], None]
) -> None:
    newest = _snapshots(slot)[-1]
    damage(newest)
    peer = murmur.peer("a", *SETTINGS)
    told = peer.wait_for("state_damaged", within_s=START_S)
    assert told["path"] == str(newest)
    restored = peer.wait_for("state_restored")
    assert 0 < restored["round"] < stopped_peer[1]["round"]
    assert told["remedy"] == f"going back to the one of round {restored['round']}"
    assert identity_of(peer) == stopped_peer[2]
    _assert_trains(peer)
    assert newest.with_suffix(".corrupt").exists()  # kept for whoever wants to know why


def test_all_snapshots_damaged_starts_anew_and_says_so(murmur: Murmur, slot: Path) -> None:
    found = _snapshots(slot)
    for path, damage in zip(found, DAMAGES, strict=False):
        damage(path)
    peer = murmur.peer("a", *SETTINGS)
    assert peer.wait_for("round_sealed", within_s=START_S)["round"] == 1
    told = peer.named("state_damaged")
    assert [event["path"] for event in told] == [str(path) for path in reversed(found)]
    assert all("starting from the initial model" in event["remedy"] for event in told)
    assert not peer.named("state_restored")
    _assert_trains(peer)


def test_state_of_another_protocol_version_stays_and_is_told(murmur: Murmur, slot: Path) -> None:
    (mine,) = slot.glob("cartpole-*")
    older = mine.rename(slot / mine.name.rsplit("-v", 1)[0])  # as version 4 named it
    before = {path: path.read_bytes() for path in older.glob("snapshots/*")}
    peer = murmur.peer("a", *SETTINGS)
    told = peer.wait_for("other_version_kept", within_s=START_S)
    assert told["path"] == str(older)
    assert "starting from the initial model" in told["remedy"]
    _assert_trains(peer)
    assert not peer.named("state_damaged")
    assert before == {path: path.read_bytes() for path in older.glob("snapshots/*")}


@pytest.mark.parametrize("damage", [_truncate, _zeros])
def test_damaged_journal_is_moved_aside(
    murmur: Murmur, slot: Path, stopped_peer: tuple[Path, Event, str], damage: Callable[[Path], None]
) -> None:
    journal = _run_file(slot, "journal.sqlite")
    damage(journal)
    peer = murmur.peer("a", *SETTINGS)
    restored = peer.wait_for("state_restored", within_s=START_S)
    assert restored["round"] == stopped_peer[1]["round"]  # the snapshots carry the state
    (told,) = peer.named("state_damaged")
    assert told["path"] == str(journal)
    assert journal.with_name("journal.sqlite.corrupt-1").exists()
    assert "journal.sqlite.corrupt-1" in told["remedy"]
    _assert_trains(peer)


@pytest.mark.parametrize("damage", [_flip_middle, _truncate])
def test_damaged_training_state_costs_the_optimizer_not_the_model(
    murmur: Murmur, slot: Path, stopped_peer: tuple[Path, Event, str], damage: Callable[[Path], None]
) -> None:
    path = _run_file(slot, "training.bin")
    damage(path)
    peer = murmur.peer("a", *SETTINGS)
    restored = peer.wait_for("state_restored", within_s=START_S)
    assert (restored["round"], restored["model"]) == (stopped_peer[1]["round"], stopped_peer[1]["model"])
    (told,) = peer.named("state_damaged")
    assert told["path"] == str(path)
    assert "the optimizer starts afresh" in told["remedy"]
    _assert_trains(peer)


def test_damaged_boot_count_goes_on_from_a_higher_one(murmur: Murmur, slot: Path) -> None:
    _flip_middle(slot / "boots")
    peer = murmur.peer("a", *SETTINGS)
    (told,) = [peer.wait_for("state_damaged", within_s=START_S)]
    assert told["path"] == str(slot / "boots")
    assert peer.named("peer_started")[0]["boot"] > 1_000_000
    _assert_trains(peer)


@pytest.mark.parametrize("damage", [_flip_middle, _empty])
def test_damaged_identity_is_refused_and_left_alone(murmur: Murmur, slot: Path, damage: Callable[[Path], None]) -> None:
    key = slot / "identity.key"
    damage(key)
    content = key.read_bytes()
    peer = murmur.peer("a", *SETTINGS)
    assert peer.wait(within_s=START_S) == 2
    assert len(peer.lines) == 1, peer.output
    assert peer.lines[0].startswith(f"murmur: identity file {key} is damaged (")
    assert "restore it from a backup, or delete it" in peer.lines[0]
    assert key.read_bytes() == content


def test_identity_that_others_can_read_is_refused_with_the_command_to_type(murmur: Murmur, slot: Path) -> None:
    key = slot / "identity.key"
    key.chmod(0o644)
    peer = murmur.peer("a", *SETTINGS)
    assert peer.wait(within_s=START_S) == 2
    assert len(peer.lines) == 1, peer.output
    assert f"chmod 600 {key}" in peer.lines[0]


def test_other_settings_start_anew_and_the_first_ones_go_on_later(
    murmur: Murmur, slot: Path, stopped_peer: tuple[Path, Event, str]
) -> None:
    other = murmur.peer("a", *SETTINGS, "model.hidden=[32]")
    assert other.wait_for("round_sealed", within_s=START_S)["round"] == 1
    assert not other.named("state_damaged")
    assert identity_of(other) == stopped_peer[2]
    assert other.stop() == 0, other.output
    first = murmur.peer("a", *SETTINGS)
    assert first.wait_for("state_restored", within_s=START_S)["round"] == stopped_peer[1]["round"]
    assert first.stop() == 0, first.output
