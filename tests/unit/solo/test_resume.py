"""A run that ended and goes on is the run that never ended; what cannot go on is told, and stays as it is."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from peer.errors import ConfigError, StorageError
from peer.solo import keeper, run
from peer.solo.display import LineDisplay
from peer.solo.interrupt import Interrupt
from peer.solo.options import TrainOptions
from peer.solo.resumption import resume_last
from peer.solo.run import Progress
from peer.solo.run_state import RunRecord, load_run_state, save_run_state, state_file
from peer.solo.summary import Summary
from peer.solo.train import train_solo
from peer.storage.model_file import load_model
from tests.unit.solo.short_runs import WHOLE, learned, resume, small

PENDULUM = (
    "env.name=Pendulum-v1",
    "ppo.normalize_observations=true",
    "ppo.normalize_rewards=true",
    "ppo.lr_schedule=linear",
    "ppo.clip_schedule=linear",
    "ppo.schedule_env_steps=2000",
)
VARIANTS = ("env.variants={a: {params: {length: 0.4}}, b: {}, c: {params: {length: 0.6}}}", "ppo.num_envs=2")


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ask for an end at the first of these env steps, in the next run at the second, and so on."""
    monkeypatch.setattr(run, "CHUNK_S", 1e-9)  # one iteration each
    steps: list[int] = []
    asked: list[bool] = []

    def trained(_self: LineDisplay, progress: Progress) -> None:
        if steps and progress.env_steps >= steps[0]:
            steps.pop(0)
            asked.append(True)

    monkeypatch.setattr(LineDisplay, "trained", trained)
    monkeypatch.setattr(Interrupt, "requested", lambda _self: bool(asked and asked.pop()))  # a signal comes some time
    return steps


def without_time(summary: Summary) -> list[dict[str, object]]:
    return [
        {key: value for key, value in point.items() if key != "train_s"}
        for point in json.loads(summary.json())["curve"]
    ]


@pytest.mark.parametrize(
    "settings",
    [(), ("compute.backend=fused",), ("compute.backend=libtorch",), PENDULUM, (*VARIANTS, "ppo.minibatch_size=16")],
)
def test_interrupted_run_ends_in_the_bytes_of_one_that_was_not(
    settings: tuple[str, ...], tmp_path: Path, interrupt_at: list[int]
) -> None:
    config, whole, part = small(*settings), tmp_path / "whole.safetensors", tmp_path / "part.safetensors"
    expected = train_solo(config, replace(WHOLE, model_file=whole))
    interrupt_at += [128, 512, 576, 1000]
    curve = tmp_path / "part.jsonl"
    summary = train_solo(config, replace(WHOLE, model_file=part, curve_file=curve))
    for _ in range(4):
        assert summary.outcome.reason == "interrupted"
        summary = resume(part)
    assert learned(part) == learned(whole)
    assert without_time(summary) == without_time(expected)
    assert [json.loads(line) for line in curve.read_text().splitlines()] == json.loads(summary.json())["curve"]
    assert json.loads(summary.json())["resumed_at_env_steps"] == 1024
    assert not summary.keeper.replaced


def test_a_raised_bound_gives_the_model_of_one_longer_run(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.safetensors", tmp_path / "part.safetensors"
    train_solo(small(), replace(WHOLE, model_file=whole))
    train_solo(small(), replace(WHOLE, model_file=part, max_env_steps=600))
    resume(part, options=TrainOptions(max_env_steps=1280))
    assert learned(part) == learned(whole)


def test_what_took_time_before_counts(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=640))
    state = load_run_state(state_file(path))
    standing = replace(state.record.standing, train_s=1000.0)
    save_run_state(state_file(path), replace(state, record=replace(state.record, wall_s=2000.0, standing=standing)))
    result = json.loads(resume(path, options=TrainOptions(max_env_steps=1280)).json())
    assert 1000.0 < result["train_s"] < 1900.0
    assert 2000.0 < result["wall_s"] < 2900.0


def test_killed_run_goes_on_from_what_it_saved_on_the_way(
    tmp_path: Path, interrupt_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part, killed = (tmp_path / f"{name}.safetensors" for name in ("whole", "part", "killed"))
    train_solo(small(), replace(WHOLE, model_file=whole))
    monkeypatch.setattr(keeper, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(keeper, "_MOST_OF_THE_TIME", 1e9)

    def copy(_self: LineDisplay, progress: Progress) -> None:
        if progress.env_steps == 704:
            killed.write_bytes(part.read_bytes())
            state_file(killed).write_bytes(state_file(part).read_bytes())

    monkeypatch.setattr(LineDisplay, "trained", copy)
    train_solo(small(), replace(WHOLE, model_file=part))
    assert load_model(killed).settings["env_steps"] == "704"
    curve = tmp_path / "curve.jsonl"
    curve.write_text("what it wrote after that\n")
    summary = resume(killed, options=TrainOptions(curve_file=curve))
    assert learned(killed) == learned(whole)
    assert [json.loads(line) for line in curve.read_text().splitlines()] == json.loads(summary.json())["curve"]


def test_settings_that_the_state_depends_on_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    others = {
        "env.name": "Pendulum-v1",
        "model.hidden": "[9]",
        "run.seed": "2",
        "ppo.num_envs": "8",
        "ppo.normalize_observations": "true",
    }
    for key, value in others.items():
        with pytest.raises(ConfigError, match=rf"^{key}: the run of .*m.safetensors has .*, and cannot go on with"):
            resume(path, f"{key}={value}")
    resume(path, "env.name=CartPole-v1", "model.hidden=[8]")  # the same


def test_other_settings_are_told_and_written_down(tmp_path: Path) -> None:
    path = train_solo(small(f"storage.data_dir={tmp_path}"), TrainOptions(max_env_steps=64)).model_file
    told: list[str] = []
    resume(path, "ppo.learning_rate=0.0005", told=told, options=TrainOptions(max_env_steps=128))
    assert told == [
        f"murmur: going on with {path} from env step 64",
        "murmur: ppo.learning_rate was 0.001 until env step 64",
    ]
    settings = path.with_name("settings.yaml").read_text()
    assert settings.startswith(
        "# Trained by murmur train -c settings.yaml --env-steps 128\n# ppo.learning_rate was 0.001 until env step 64\n"
    )
    assert "learning_rate: 0.0005" in settings
    assert resume(path, options=TrainOptions(max_env_steps=192)).settings.learning_rate == 0.0005


def test_another_back_end_is_told(tmp_path: Path) -> None:
    path, told = tmp_path / "m.safetensors", list[str]()
    train_solo(small("compute.backend=fused"), replace(WHOLE, model_file=path, max_env_steps=64))
    summary = resume(path, "compute.backend=libtorch", told=told, options=TrainOptions(max_env_steps=640))
    assert summary.outcome.progress.env_steps == 640
    assert "so far, by libtorch on cpu from here on: results differ in the last digits" in told[-1]


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda data: data[:1000], "is damaged: expected"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "is damaged: its checksum does not match"),
        (lambda _: b"", "is damaged: expected at least"),
        (lambda data: b"PK" + data, "is damaged: it does not begin as a file of this program"),
    ],
)
def test_damaged_state_is_told_and_stays(tmp_path: Path, damage: Callable[[bytes], bytes], cause: str) -> None:
    path = tmp_path / "m.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    state_file(path).write_bytes(damage(state_file(path).read_bytes()))
    before = path.read_bytes(), state_file(path).read_bytes()
    with pytest.raises(StorageError, match=rf"m.safetensors.state {cause}.*; --from .*m.safetensors begins a run"):
        resume(path)
    assert (path.read_bytes(), state_file(path).read_bytes()) == before


def test_state_whose_parts_do_not_belong_together_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "m.safetensors", tmp_path / "other.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    train_solo(small("model.hidden=[9]"), replace(WHOLE, model_file=other, max_env_steps=64))
    state = load_run_state(state_file(path))
    save_run_state(state_file(path), replace(state, learner=load_run_state(state_file(other)).learner))
    with pytest.raises(StorageError, match=r"m.safetensors.state cannot be gone on with: .*of another model"):
        resume(path)
    standing = replace(state.record.standing, env_steps=65)
    save_run_state(state_file(path), replace(state, record=replace(state.record, standing=standing)))
    with pytest.raises(StorageError, match=r"its learner has made 64 env steps, the run 65"):
        resume(path)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda record: replace(record, wall_s=float("nan")), "wall_s is nan"),
        (
            lambda record: replace(record, settings={"ppo": {"epochs": "many"}}),
            "settings that this version does not know: ppo.epochs: input should",
        ),
    ],
)
def test_state_with_what_no_run_writes_is_refused(
    tmp_path: Path, change: Callable[[RunRecord], RunRecord], cause: str
) -> None:
    path = tmp_path / "m.safetensors"
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    state = load_run_state(state_file(path))
    save_run_state(state_file(path), replace(state, record=change(state.record)))
    with pytest.raises(StorageError, match=cause):
        resume(path)


@pytest.mark.parametrize("content", ["mine\n", "[" * 60_000])
def test_no_file_is_overwritten_as_a_curve_because_a_state_says_so(tmp_path: Path, content: str) -> None:
    path, precious = tmp_path / "m.safetensors", tmp_path / "precious"
    precious.write_text(content)
    train_solo(small(), replace(WHOLE, model_file=path, max_env_steps=64))
    state = load_run_state(state_file(path))
    save_run_state(state_file(path), replace(state, record=replace(state.record, curve_file="precious")))
    assert resume(path).curve_file.path is None
    assert precious.read_text() == content


@pytest.mark.parametrize("model_folder", ["runs", "."])
def test_a_curve_goes_on_also_where_links_lead_to_the_model_or_to_it(tmp_path: Path, model_folder: str) -> None:
    for name, disk in (("runs", "disk"), ("curves", "other/disk")):
        (tmp_path / disk / "deep").mkdir(parents=True)
        (tmp_path / name).symlink_to(tmp_path / disk / "deep")
    path, curve = tmp_path / model_folder / "m.safetensors", tmp_path / "curves" / "c.jsonl"
    train_solo(small(), replace(WHOLE, model_file=path, curve_file=curve, max_env_steps=64))
    summary = resume(path, options=TrainOptions(max_env_steps=128))
    assert [json.loads(line) for line in curve.read_text().splitlines()] == json.loads(summary.json())["curve"]
    (tmp_path / "more").symlink_to(tmp_path / "curves")
    resume(path, options=TrainOptions(max_env_steps=192, curve_file=tmp_path / "more" / "d.jsonl"))
    resume(path, options=TrainOptions(max_env_steps=256))
    assert '"env_steps": 256' in (tmp_path / "curves" / "d.jsonl").read_text()


def test_a_curve_that_was_empty_when_the_run_ended_goes_on(tmp_path: Path) -> None:
    path, curve = tmp_path / "m.safetensors", tmp_path / "c.jsonl"
    train_solo(small(), replace(WHOLE, model_file=path, curve_file=curve, max_env_steps=64))
    curve.write_text("")
    resume(path, options=TrainOptions(max_env_steps=128))
    assert len(curve.read_text().splitlines()) == 3


def test_without_a_run_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no run to go on with: .*nowhere.safetensors.state is missing$"):
        resume(tmp_path / "nowhere.safetensors")
    with pytest.raises(StorageError, match=r"there is no run to go on with in .*train: leave --resume out"):
        resume_last(tmp_path, lambda base: small(base=base))


def test_the_last_run_that_has_the_settings_asked_for_goes_on(tmp_path: Path) -> None:
    data_dir, options = f"storage.data_dir={tmp_path}", TrainOptions(max_env_steps=64)
    first, second = (train_solo(small(data_dir, f"run.seed={seed}"), options).model_file for seed in (1, 2))
    os.utime(state_file(first), (1e9, 1e9))
    assert resume_last(tmp_path, lambda base: small(base=base)).model_file == second
    assert resume_last(tmp_path, lambda base: small("run.seed=1", base=base)).model_file == first
    with pytest.raises(ConfigError, match=r"^run.seed: the run of .* has 2, and cannot go on with 3"):
        resume_last(tmp_path, lambda base: small("run.seed=3", base=base))
