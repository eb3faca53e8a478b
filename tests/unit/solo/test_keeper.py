"""What a run leaves on disk when that refuses, or when it is killed in between: nothing that was learned is lost."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from peer.errors import StorageError
from peer.native import make_ppo_agent
from peer.settings import ppo_settings
from peer.solo import keeper, run
from peer.solo.options import TrainOptions
from peer.solo.run_state import load_run_state, state_file
from peer.solo.summary import Summary
from peer.solo.train import train_solo
from peer.storage.model_file import ModelFile, load_model, save_model
from peer.types import PeerId
from tests.unit.solo.short_runs import WHOLE, learned, resume, small


@contextmanager
def killed_before_the_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The run in this block ends at the first model that it would write; its state is written by then."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(keeper, "save_model", killed)
        with pytest.raises(KeyboardInterrupt):
            yield


def refuse_states(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageError("no space left on device")

    monkeypatch.setattr(keeper, "save_run_state", full)


def test_an_earlier_run_is_told_of_and_kept_when_another_takes_its_place(tmp_path: Path) -> None:
    path, previous = tmp_path / "m.safetensors", tmp_path / "m.previous.safetensors"
    options = replace(WHOLE, model_file=path)
    train_solo(small(), replace(options, max_env_steps=640))
    earlier, told = learned(path), list[str]()
    summary = train_solo(small("run.seed=2"), replace(options, max_env_steps=64), tell=told.append)
    assert told == [
        f"murmur: {path}: an earlier run of 640 env steps will be kept as m.previous.safetensors, and a new one begins;"
        f" to go on with it instead: murmur train --resume -o {path}"
    ]
    assert learned(previous) == earlier
    assert f"; what was there is kept as {previous}" in summary.text()
    assert resume(previous, options=TrainOptions(max_env_steps=704)).outcome.progress.env_steps == 704
    state_file(path).unlink()
    train_solo(small(), replace(options, max_env_steps=64), tell=told.append)
    assert "m.previous.safetensors in place of what is kept there" in told[-1]
    assert not state_file(previous).exists()  # it was that of another model


def test_a_disk_without_room_for_the_state_costs_the_state_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    before = state_file(path).read_bytes()
    monkeypatch.setattr(keeper, "SAVE_EVERY_S", 0.0)
    refuse_states(monkeypatch)
    summary = resume(path, options=TrainOptions(max_env_steps=640))
    told = "murmur: no space left on device; training goes on, and tries again\n"
    assert capsys.readouterr().err.count(told) == 1, "at once, and once"
    assert load_model(path).settings["env_steps"] == "640"
    assert "its state is not saved, so this run cannot go on from here: no space left on device" in summary.text()
    assert json.loads(summary.json())["state"] is None
    assert state_file(path).read_bytes() == before


def test_a_model_whose_state_was_refused_stands_beside_no_state_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, previous = tmp_path / "m.safetensors", tmp_path / "m.previous.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    earlier = learned(path)
    with monkeypatch.context() as patched:
        refuse_states(patched)
        train_solo(small("run.seed=2"), replace(WHOLE, model_file=path, max_env_steps=640))
    model = path.read_bytes()
    with pytest.raises(StorageError, match=r"\.state is missing; --from .*/m\.safetensors begins a run with"):
        resume(path)
    assert path.read_bytes() == model
    assert learned(previous) == earlier


def test_a_state_of_another_run_that_cannot_be_removed_now_is_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    monkeypatch.setattr(keeper, "SAVE_EVERY_S", 0.0)
    refuse_states(monkeypatch)
    remove, refused = keeper._remove, [True]

    def remove_at_the_second_try(file: Path) -> None:
        if refused:
            refused.pop()
            raise StorageError("read-only file system")
        remove(file)

    monkeypatch.setattr(keeper, "_remove", remove_at_the_second_try)
    train_solo(small("run.seed=2"), replace(WHOLE, model_file=path, max_env_steps=640))
    assert not state_file(path).exists()


def test_a_model_that_is_further_than_its_state_is_told_of_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, previous = tmp_path / "m.safetensors", tmp_path / "m.previous.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    with monkeypatch.context() as patched:
        refuse_states(patched)
        resume(path, options=TrainOptions(max_env_steps=1280))
    model, told = path.read_bytes(), list[str]()
    resume(path, told=told, options=TrainOptions(max_env_steps=128))
    assert told == [
        f"murmur: going on with {path} from env step 64",
        f"murmur: {path} itself has learned from 1,280 env steps; its state was not saved then, so that model will be"
        " kept as m.previous.safetensors",
    ]
    assert previous.read_bytes() == model
    resume(path, options=TrainOptions(max_env_steps=192))
    assert previous.read_bytes() == model, "what is kept is not replaced by what follows"


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_that_is_killed_between_state_and_model_goes_on_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, resumed: bool
) -> None:
    path, previous = tmp_path / "m.safetensors", tmp_path / "m.previous.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=640))
    earlier = learned(path)

    def begin() -> Summary:
        if resumed:
            return resume(path, options=TrainOptions(max_env_steps=704))
        return train_solo(small("run.seed=2"), replace(WHOLE, model_file=path, max_env_steps=64))

    with killed_before_the_model(monkeypatch):
        begin()
    found, steps = load_run_state(state_file(path)).record, 704 if resumed else 64
    assert (found.settings["run"]["seed"], found.standing.env_steps) == (1 if resumed else 2, steps)
    told: list[str] = []
    assert resume(path, told=told, options=TrainOptions(max_env_steps=768)).model_env_steps == 768
    assert told == [f"murmur: going on with {path} from env step {steps}"]
    assert resumed or learned(previous) == earlier


def test_a_run_that_was_killed_while_it_took_a_place_costs_no_state_of_the_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, previous = tmp_path / "m.safetensors", tmp_path / "m.previous.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    earlier = learned(path)

    for seed in (2, 3):
        with killed_before_the_model(monkeypatch):
            train_solo(small(f"run.seed={seed}"), replace(WHOLE, model_file=path, max_env_steps=64))
    assert learned(previous) == earlier


def test_a_run_that_was_killed_while_it_set_the_earlier_one_aside_costs_no_state_of_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept before is of a longer run, so that its state would pass for a later one of the same model."""
    path, previous = tmp_path / "m.safetensors", tmp_path / "m.previous.safetensors"
    for seed, env_steps in ((1, 1280), (2, 640)):
        options = replace(WHOLE, model_file=path, max_env_steps=env_steps)
        train_solo(small(f"run.seed={seed}"), options)
    earlier = learned(path)

    def killed(file: Path, copy: Path) -> None:
        os.link(file, copy)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(keeper, "_duplicate", killed)
        with pytest.raises(KeyboardInterrupt):
            keeper.set_aside(path)
    train_solo(small("run.seed=3"), replace(WHOLE, model_file=path, max_env_steps=64))
    assert learned(previous) == earlier
    assert load_run_state(state_file(previous)).record.standing.env_steps == 640


def test_what_was_learned_is_kept_elsewhere_when_the_disk_refuses_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, elsewhere = tmp_path / "full" / "m.safetensors", tmp_path / "elsewhere"

    def full(file: Path, model: ModelFile) -> None:
        if file == path:
            raise StorageError("no space left on device")
        save_model(file, model)

    monkeypatch.setattr(keeper, "save_model", full)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(elsewhere))
    with pytest.raises(StorageError, match=r"^no space left on device$"):
        train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))

    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    with monkeypatch.context() as patched:
        patched.setattr("tempfile.gettempdir", nowhere)
        with pytest.raises(StorageError, match=r"^no space left on device$"):
            train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    elsewhere.mkdir()
    with pytest.raises(StorageError, match="no space left on device; what was learned is kept as ") as caught:
        train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    (kept,) = elsewhere.glob("*/m.safetensors")
    assert str(caught.value).endswith(f"kept as {kept}")
    summary = resume(kept, options=TrainOptions(max_env_steps=128))
    assert summary.model_env_steps == 128


def test_second_ctrl_c_leaves_the_last_evaluation_unless_the_disk_is_further(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    record = load_run_state(state_file(path)).record
    path.unlink()
    agent = make_ppo_agent("CartPole-v1", ppo_settings(small(), PeerId("solo")))
    clock = iter(range(0, 10_000, 1000))
    begun = replace(record, standing=run.Standing())
    kept = keeper.Keeper(small(), agent, path, begun, clock=lambda: float(next(clock)))
    kept.save_trained()
    assert not path.exists()  # an untrained model would replace an earlier one
    agent.train(256, 60.0)
    kept.keep(replace(begun.standing, env_steps=256))
    agent.train(256, 60.0)
    kept.save_trained()
    assert load_model(path).settings["env_steps"] == "256"
    kept.save_if_due(replace(begun.standing, env_steps=512))
    kept.save_trained()
    assert load_model(path).settings["env_steps"] == "512"
    assert load_run_state(state_file(path)).record.standing.env_steps == 512
