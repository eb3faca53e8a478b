"""The model that a peer leaves in the folder of its run: with each snapshot, at a stop and at the end."""

import json
import shutil
from pathlib import Path

import pytest
import trio

from peer.config.digest import agreed_text
from peer.history.places import find_run
from peer.history.verify import verify_run
from peer.run_folder import RunFolder, run_folder_name
from peer.storage.about_file import About, write_about
from peer.storage.model_file import load_model
from peer.telemetry.disk_events import ModelSaved, OtherSettingsKept, OtherVersionKept, StateDamaged
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from peer.wire.limits import PROTOCOL_VERSION
from tests.unit.history.sealed_run import CONFIG, Pair


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
def pair() -> Pair:
    return Pair(CONFIG)


def test_stop_leaves_the_model_so_far_and_says_where(tmp_path: Path, sink: RecordingSink, pair: Pair) -> None:
    pair.seal()
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        folder.save_model_so_far(pair.mine.tip)
    assert sink.events == [ModelSaved(round=1, path=str(folder.model_file))]
    assert load_model(folder.model_file).settings["model_hash"] == pair.mine.tip.model.hex()


def test_what_killed_processes_were_writing_is_removed_at_the_next_start(
    tmp_path: Path, sink: RecordingSink, pair: Pair
) -> None:
    """Each is as large as the model; a peer that is killed every hour, for want of memory, filled its disk."""
    pair.seal()
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        trio.run(folder.archive.flush, pair.mine.tip)
    for name in ("model.safetensors", "snapshots/snapshot-0000000002.bin", "payloads/round-0000000000001.bin"):
        path = folder.path / name
        path.parent.mkdir(exist_ok=True)
        path.with_name(f".tmp-4711-{path.name}").write_bytes(bytes(1000))
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        assert folder.restore(pair.agent) is not None
    assert not list(folder.path.rglob(".tmp-*"))


def test_stop_before_the_first_round_leaves_no_model(tmp_path: Path, sink: RecordingSink, pair: Pair) -> None:
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        folder.save_model_so_far(pair.mine.tip)
    assert not folder.model_file.exists()
    assert not sink.events


def test_model_of_an_earlier_stop_is_not_taken_for_the_last_one(
    tmp_path: Path, sink: RecordingSink, pair: Pair
) -> None:
    pair.seal()
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        assert not folder.holds_model_of(pair.mine.tip), "there is none"
        folder.save_model_so_far(pair.mine.tip)
        assert folder.holds_model_of(pair.mine.tip)
        pair.seal()
        assert not folder.holds_model_of(pair.mine.tip)


def test_state_of_another_run_is_passed_over_for_the_one_before_and_set_aside(
    tmp_path: Path, sink: RecordingSink, pair: Pair
) -> None:
    """It was copied there by hand; left in its place, it would make the whole folder look tampered with."""
    other = CONFIG.model_copy(update={"run": CONFIG.run.model_copy(update={"name": "other"})})
    foreign, stranger = Pair(other), RecordingSink()
    foreign.seal()
    with RunFolder(tmp_path / "slot-1", other, sink=stranger) as folder:
        trio.run(folder.archive.flush, foreign.mine.tip)
    (copied,) = folder.path.glob("snapshots/snapshot-*.bin")
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        folder.describe(peer=PeerId("me"), name="peer-1")
        for effect in pair.seal():
            folder.archive.observe(effect)
        trio.run(folder.archive.flush, pair.mine.tip)
    shutil.copy(copied, folder.path / "snapshots" / "snapshot-0000000009.bin")
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        restored = folder.restore(pair.agent)
    assert restored is not None
    assert restored.digest == pair.mine.tip.digest
    (damage,) = [event for event in sink.events if isinstance(event, StateDamaged)]
    assert damage.path.endswith("snapshots/snapshot-0000000009.bin")
    assert damage.cause.startswith("it is no state of this run: message of run ")
    assert damage.remedy == "going back to the one of round 1"
    assert not verify_run(find_run(folder.path, slot=None, run=None), CONFIG).problems


def test_run_that_starts_afresh_because_a_setting_changed_says_which(
    tmp_path: Path, sink: RecordingSink, pair: Pair
) -> None:
    others = [CONFIG.model_copy(update={"run": CONFIG.run.model_copy(update={"name": name})}) for name in ("a", "a-b")]
    changed = others[0].model_copy(update={"stop": CONFIG.stop.model_copy(update={"episodes": 7})})
    for config in others:
        with RunFolder(tmp_path / "slot-0", config, sink=sink) as folder:
            folder.describe(peer=PeerId("me"), name="peer-1")
            assert folder.restore(pair.agent) is None
    assert not sink.events, "a run of another name is another run"
    unmounted = run_folder_name(changed).replace("-v", "0-v")
    (tmp_path / "slot-0" / unmounted).symlink_to("/mnt/elsewhere")
    with RunFolder(tmp_path / "slot-0", changed, sink=sink) as folder:
        folder.restore(pair.agent)
    (told,) = [event for event in sink.events if isinstance(event, OtherSettingsKept)]
    assert told.keys == ("stop.episodes",)
    assert Path(told.path).name == run_folder_name(others[0])


@pytest.mark.parametrize("version", ["-v4", ""])
def test_upgraded_program_says_where_the_state_of_the_version_before_stays(
    tmp_path: Path, sink: RecordingSink, pair: Pair, version: str
) -> None:
    """It mostly has other keys marked (=), too, and so another digest in the name of its folder."""
    (tmp_path / "slot-0" / f"{CONFIG.run.name}-0badcafe{version}").mkdir(parents=True)
    (tmp_path / "slot-0" / f"{CONFIG.run.name}-other-0badcafe{version}").mkdir()
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        assert folder.restore(pair.agent) is None
    (told,) = sink.events
    assert isinstance(told, OtherVersionKept)
    assert Path(told.path).name == f"{CONFIG.run.name}-0badcafe{version}"


@pytest.mark.parametrize("key", ["round.merge", "stop.max_rounds"])
def test_key_that_is_new_in_this_version_is_not_called_a_changed_setting(
    tmp_path: Path, sink: RecordingSink, pair: Pair, key: str
) -> None:
    """Nobody has changed it, and nothing that one can set brings the earlier state back. One of the two is null."""
    settings = json.loads(agreed_text(CONFIG))
    section, name = key.split(".")
    del settings[section][name]
    older = tmp_path / "slot-0" / f"{CONFIG.run.name}-0badcafe-v{PROTOCOL_VERSION}"
    older.mkdir(parents=True)
    write_about(older, About(peer="me", name="peer-1", settings=json.dumps(settings)))
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        assert folder.restore(pair.agent) is None
    (told,) = sink.events
    assert isinstance(told, OtherVersionKept)
    assert told.path == str(older)


def test_peer_that_is_killed_leaves_the_model_of_its_newest_snapshot(
    tmp_path: Path, sink: RecordingSink, pair: Pair
) -> None:
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        for _ in range(CONFIG.round.snapshot_every + 1):
            for effect in pair.seal():
                folder.archive.observe(effect)
            trio.run(folder.archive._write_pending)
        assert load_model(folder.model_file).settings["round"] == str(CONFIG.round.snapshot_every)
