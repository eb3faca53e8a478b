"""The model that a peer leaves in the folder of its run: with each snapshot, at a stop and at the end."""

from pathlib import Path

import pytest
import trio

from peer.run_folder import RunFolder
from peer.storage.model_file import load_model
from peer.telemetry.disk_events import ModelSaved
from peer.telemetry.sink import RecordingSink
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


def test_peer_that_is_killed_leaves_the_model_of_its_newest_snapshot(
    tmp_path: Path, sink: RecordingSink, pair: Pair
) -> None:
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=sink) as folder:
        for _ in range(CONFIG.round.snapshot_every + 1):
            for effect in pair.seal():
                folder.archive.observe(effect)
            trio.run(folder.archive._write_pending)
        assert load_model(folder.model_file).settings["round"] == str(CONFIG.round.snapshot_every)
