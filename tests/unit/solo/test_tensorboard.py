"""`murmur train --tensorboard`: the figures of a run, read back by TensorBoard's own reader and held to its curve."""

import importlib.util
import itertools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.sources import Base
from peer.errors import StorageError
from peer.known_envs import KnownEnvs
from peer.native import PpoTrainStats
from peer.solo import tensorboard
from peer.solo.options import TrainOptions
from peer.solo.resumption import resume_at
from peer.solo.run import Point, Progress
from peer.solo.summary import Summary
from peer.solo.tensorboard import TensorBoardRun
from peer.solo.train import go_on, train_solo
from peer.telemetry import event_files as files
from peer.telemetry.scalar_tags import LossWeights
from tests.event_reader import event_files, read_scalars, read_text
from tests.unit.solo.scripted_learner import Stats

SMALL = ("ppo.num_envs=4", "ppo.rollout_steps=16", "ppo.minibatch_size=32", "model.hidden=[8]", "ppo.epochs=1")
BOUNDED = ("stop.mean_return=null", "stop.episodes=2", "compute.device=cpu")
_AS_BEFORE = TrainOptions()


def small(*overrides: str, base: Base | None = None) -> Config:
    given = [*overrides] if base is not None else [*SMALL, *BOUNDED, *overrides]
    return load_config([], {}, given, base=base, known_envs=KnownEnvs())


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    return TrainOptions(
        max_env_steps=1280,
        eval_env_steps=256,
        model_file=tmp_path / "model.safetensors",
        tensorboard=tmp_path / "tb",
    )


def resume(model_file: Path, options: TrainOptions = _AS_BEFORE, told: list[str] | None = None) -> Summary:
    found = resume_at(model_file, lambda base: small(base=base))
    return go_on(found, options, tell=(told if told is not None else []).append)


def of_curve(summary: Summary, name: str) -> dict[int, float]:
    """Return a figure of the curve by env steps, as the float32 that event files hold, where it is known."""
    curve = json.loads(summary.json())["curve"]
    return {point["env_steps"]: float(np.float32(point[name])) for point in curve if point[name] is not None}


def test_every_evaluation_is_a_point_with_the_figures_of_the_curve(options: TrainOptions, tmp_path: Path) -> None:
    summary = train_solo(small("ppo.entropy_coef=0.01"), options)
    read = read_scalars(tmp_path / "tb" / "cartpole_1")
    names = {
        "eval/mean_reward": "greedy_return",
        "rollout/ep_rew_mean": "train_return",
        "train/policy_gradient_loss": "policy_loss",
        "train/approx_kl": "approx_kl",
        "train/clip_fraction": "clip_fraction",
        "train/explained_variance": "explained_variance",
        "train/learning_rate": "learning_rate",
    }
    assert list(read["eval/mean_reward"]) == [0, 256, 512, 768, 1024, 1280]
    assert read["rollout/ep_len_mean"] == read["rollout/ep_rew_mean"]  # in CartPole each step is rewarded by 1
    for tag, name in names.items():
        assert read[tag] == of_curve(summary, name), tag
    assert set(read["time/fps"]) == set(read["train/loss"])
    for step, loss in read["train/loss"].items():
        policy, value, entropy = (
            read[f"train/{tag}"][step] for tag in ("policy_gradient_loss", "value_loss", "entropy_loss")
        )
        assert loss == pytest.approx(policy + 0.01 * entropy + summary.settings.value_coef * value / 2, rel=1e-5)
    (first, *_) = read["train/value_loss"].values()
    assert first == pytest.approx(2 * json.loads(summary.json())["curve"][1]["value_loss"], rel=1e-6)
    assert "train/std" not in read
    assert "ppo.entropy_coef=0.01" in read_text(tmp_path / "tb" / "cartpole_1", "settings")
    assert json.loads(summary.json())["tensorboard"] == str(tmp_path / "tb" / "cartpole_1")
    assert f"tensorboard --logdir {tmp_path / 'tb'} (run cartpole_1)" in summary.text()


def test_continuous_actions_have_a_spread(options: TrainOptions, tmp_path: Path) -> None:
    train_solo(small("env.name=Pendulum-v1", "model.init_log_std=-0.5", "ppo.learning_rate=1e-9"), options)
    read = read_scalars(tmp_path / "tb" / "cartpole_1")
    assert read["train/std"] == {step: pytest.approx(math.exp(-0.5), rel=1e-3) for step in read["train/loss"]}


def test_each_variant_has_its_return_also_when_they_take_turns(options: TrainOptions, tmp_path: Path) -> None:
    variants = "env.variants={a: {params: {length: 0.4}}, b: {}, c: {params: {length: 0.6}}}"
    train_solo(small(variants, "ppo.num_envs=2", "ppo.minibatch_size=16"), replace(options, max_env_steps=5000))
    read = read_scalars(tmp_path / "tb" / "cartpole_1")
    assert {tag for tag in read if tag.startswith("variants/")} == {"variants/a", "variants/b", "variants/c"}
    turns = [set(read["variants/a"]) | set(read["variants/b"]), set(read["variants/c"])]
    assert not turns[0] & turns[1]  # a and b share the two envs, then c has both


def test_without_the_option_nothing_is_written(options: TrainOptions, tmp_path: Path) -> None:
    summary = train_solo(small(), replace(options, tensorboard=None))
    assert not (tmp_path / "tb").exists()
    assert json.loads(summary.json())["tensorboard"] is None
    assert "TensorBoard" not in summary.text()


def test_a_second_run_leaves_the_first_alone(options: TrainOptions, tmp_path: Path) -> None:
    train_solo(small(), options)
    before = event_files(tmp_path / "tb" / "cartpole_1")
    train_solo(small("run.name=other"), options)
    train_solo(small("run.seed=2"), options)
    assert event_files(tmp_path / "tb" / "cartpole_1") == before
    assert sorted(folder.name for folder in (tmp_path / "tb").iterdir()) == ["cartpole_1", "cartpole_2", "other_1"]


def test_a_run_that_goes_on_does_so_in_its_folder(options: TrainOptions, tmp_path: Path) -> None:
    whole = train_solo(small(), replace(options, model_file=tmp_path / "whole.safetensors"))
    part = replace(options, max_env_steps=640)
    train_solo(small(), part)
    assert options.model_file is not None
    resume(options.model_file, TrainOptions(max_env_steps=1280))
    assert len(event_files(tmp_path / "tb" / "cartpole_2")) == 2
    read = read_scalars(tmp_path / "tb" / "cartpole_2")
    expected = of_curve(whole, "greedy_return")
    assert {step: read["eval/mean_reward"][step] for step in expected} == expected
    assert set(read["eval/mean_reward"]) == {*expected, 640}


def test_a_run_goes_on_in_its_folder_also_where_a_link_leads_to_the_model(
    options: TrainOptions, tmp_path: Path
) -> None:
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "disk" / "deep")
    model = tmp_path / "runs" / "model.safetensors"
    train_solo(small(), replace(options, model_file=model, max_env_steps=640))
    resume(model, TrainOptions(max_env_steps=1280))
    assert 1280 in read_scalars(tmp_path / "tb" / "cartpole_1")["eval/mean_reward"]


def test_a_run_that_ended_before_its_first_point_goes_on_in_its_folder(options: TrainOptions, tmp_path: Path) -> None:
    train_solo(small(), replace(options, max_env_steps=640))
    for file in event_files(tmp_path / "tb" / "cartpole_1"):
        file.unlink()
    assert options.model_file is not None
    resume(options.model_file, TrainOptions(max_env_steps=1280))
    assert 1280 in read_scalars(tmp_path / "tb" / "cartpole_1")["eval/mean_reward"]


def test_what_a_killed_run_wrote_after_its_last_save_is_replaced(options: TrainOptions, tmp_path: Path) -> None:
    train_solo(small(), replace(options, max_env_steps=640))
    made = files.EventFileWriter(tmp_path / "tb" / "cartpole_1", begins_at=641, texts={})
    made.write([files.Point(step=step, scalars={"eval/mean_reward": -1.0}) for step in (700, 1000)])
    assert read_scalars(tmp_path / "tb" / "cartpole_1")["eval/mean_reward"][700] == -1.0
    assert options.model_file is not None
    resume(options.model_file, TrainOptions(max_env_steps=1280))
    assert -1.0 not in read_scalars(tmp_path / "tb" / "cartpole_1")["eval/mean_reward"].values()


def test_a_run_that_goes_on_writes_to_no_folder_without_its_files(options: TrainOptions, tmp_path: Path) -> None:
    train_solo(small(), replace(options, max_env_steps=640))
    (tmp_path / "tb" / "cartpole_1").rename(tmp_path / "elsewhere")
    told: list[str] = []
    assert options.model_file is not None
    summary = resume(options.model_file, TrainOptions(max_env_steps=700), told)
    assert not (tmp_path / "tb" / "cartpole_1").exists()
    assert summary.tensorboard.folder is None
    assert any("has no TensorBoard files any more" in line for line in told)
    summary = resume(options.model_file, TrainOptions(max_env_steps=1280, tensorboard=tmp_path / "tb"))
    assert min(read_scalars(tmp_path / "tb" / "cartpole_1")["eval/mean_reward"]) > 640
    assert resume(options.model_file, TrainOptions(max_env_steps=1300)).tensorboard.folder == summary.tensorboard.folder


def test_what_cannot_be_written_is_told_before_training(options: TrainOptions, tmp_path: Path) -> None:
    (tmp_path / "tb").write_text("mine")
    with pytest.raises(StorageError, match=r"cannot write TensorBoard files in .*/tb: file exists; a file stands"):
        train_solo(small(), options)
    assert options.model_file is not None
    assert not options.model_file.exists()


def test_a_missing_package_is_told_before_training(options: TrainOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=r"^--tensorboard needs tensorboardX, .*: pip install tensorboardX$"):
        train_solo(small(), options)


def test_a_disk_that_fails_later_ends_no_training_and_is_told(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []
    write_all = files._write_all

    def fail_later(file: object, content: bytes) -> None:
        written.append(True)
        if len(written) > 2:
            raise OSError(28, "No space left on device")
        write_all(file, content)  # type: ignore[arg-type]  # a FileIO

    monkeypatch.setattr(files, "_write_all", fail_later)
    summary = train_solo(small(), options)
    assert summary.outcome.reason == "env_steps"
    assert "TensorBoard: cannot write TensorBoard files in" in summary.text()
    assert "no space left on device; free some space" in summary.text()
    assert list(read_scalars(tmp_path / "tb" / "cartpole_1")["eval/mean_reward"]) == [0, 256]


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_between_evaluations_a_long_run_has_a_point_a_second_and_later_fewer(tmp_path: Path, clock: Clock) -> None:
    made = TensorBoardRun(
        tmp_path / "run",
        begins_at=0,
        text="",
        weights=LossWeights(entropy_coef=0.0, value_coef=0.5, kl_penalty=0.0),
        turns=[["standard"]],
        std=lambda: None,
        clock=clock,
    )
    progress = Progress()
    for _ in range(20_000):  # of 0.25 s
        clock.now += 0.25
        progress.env_steps += 100
        chunk = Stats(env_steps=100, episodes=1, mean_return=float(progress.env_steps), wall_s=0.25)
        made.trained(progress, cast(PpoTrainStats, chunk), turn=1)
    made.close(progress)
    steps = list(read_scalars(tmp_path / "run")["rollout/ep_rew_mean"])
    assert steps[:3] == [400, 800, 1200]
    assert 1000 < len(steps) < 2000
    assert all(later - earlier >= max(400, earlier // 500) for earlier, later in itertools.pairwise(steps[:-1]))
    assert steps[-1] == 2_000_000


def test_an_evaluation_between_two_points_has_what_came_since_the_one_before(tmp_path: Path, clock: Clock) -> None:
    made = TensorBoardRun(
        tmp_path / "run",
        begins_at=0,
        text="",
        weights=LossWeights(entropy_coef=0.0, value_coef=0.5, kl_penalty=0.0),
        turns=[["standard"]],
        std=lambda: None,
        clock=clock,
    )
    progress = Progress()
    for mean_return in (1.0, 5.0):
        progress.env_steps += 100
        chunk = Stats(env_steps=100, episodes=1, mean_return=mean_return, wall_s=0.5)
        made.trained(progress, cast(PpoTrainStats, chunk), turn=1)
    progress.curve.append(Point(env_steps=200, train_s=1.0, greedy_return=9.0, train_return=3.0))
    made.evaluated(progress)
    made.evaluated(progress)
    read = read_scalars(tmp_path / "run")
    assert read["rollout/ep_rew_mean"] == {200: 3.0}
    assert read["time/fps"] == {200: 200.0}
    assert read["eval/mean_reward"] == {200: 9.0}
    assert tensorboard._LEAST_S > 0
