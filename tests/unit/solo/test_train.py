"""`murmur train` on the real core, small and bounded by env steps."""

import json
import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peer.agents.native_agent import env_variants
from peer.config.load import load_config
from peer.config.schema import Config
from peer.errors import StorageError
from peer.evaluation import evaluate_file
from peer.known_envs import KnownEnvs
from peer.native import NonFiniteError, PpoAgent, PpoTrainStats, make_ppo_agent
from peer.settings import ppo_settings
from peer.solo import train
from peer.solo.display import LineDisplay
from peer.solo.options import TrainOptions
from peer.solo.run import Progress
from peer.solo.train import train_solo
from peer.storage.model_file import load_model
from peer.tasks.catalogue import env_tasks
from peer.types import PeerId
from peer.wire.hashing import model_hash

CONFIGS = Path(__file__).parents[3] / "configs"
SMALL = ("ppo.num_envs=4", "ppo.rollout_steps=16", "ppo.minibatch_size=32", "model.hidden=[8]", "ppo.epochs=1")


def small(*overrides: str) -> Config:
    bounded = ["stop.mean_return=null", "stop.episodes=2", "compute.device=cpu"]
    return load_config([], {}, [*SMALL, *bounded, *overrides], known_envs=KnownEnvs())


def model_bytes(path: Path) -> bytes:
    state = load_model(path).state
    return state.params.tobytes() + state.moments.mean.tobytes()


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    return TrainOptions(max_env_steps=640, eval_env_steps=256, model_file=tmp_path / "model.safetensors")


def file_of(options: TrainOptions) -> Path:
    assert options.model_file is not None
    return options.model_file


def test_a_run_saves_the_model_that_it_ended_with(options: TrainOptions) -> None:
    config = small()
    summary = train_solo(config, options)
    assert summary.outcome.reason == "env_steps"
    assert summary.exit_code == 0
    saved = load_model(file_of(options))
    assert saved.settings["env_steps"] == "640"
    assert saved.settings["model_hash"] == model_hash(saved.state).hex()
    alone = make_ppo_agent(config.env.name, ppo_settings(config, PeerId("solo")))
    [task] = env_tasks(config.env)
    alone.assign_variants(env_variants((task,), 4))
    alone.train(640, 60.0)  # one stretch, no evaluations
    assert saved.state.params.tobytes() == alone.get_params().tobytes()


def test_the_preset_of_mujoco_trains_in_its_walkers(options: TrainOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file_of(options).parent)  # MuJoCo writes warnings to a file
    bounded = ["stop.episodes=1", "env.name=gymnasium:Hopper-v5"]
    config = load_config([CONFIGS / "mujoco.yaml"], {}, bounded, known_envs=KnownEnvs())
    summary = train_solo(config, replace(options, max_env_steps=2048, eval_env_steps=2048))
    assert summary.outcome.reason == "env_steps"
    mean = load_model(file_of(options)).state.moments.mean
    assert mean.shape == (11 + 1,)  # and the reward
    assert 0.5 < mean[0] < 1.5  # a hopper's height, in meters: it begins at 1.25 and falls


@pytest.mark.parametrize(
    "network",
    [
        (),
        ("model.activation=silu", "model.shared_trunk=true"),
        ("ppo.normalize_observations=true", "ppo.observation_clip=0.25"),
        ("model.hidden=[8,9,8,9]",),
    ],
)
def test_murmur_eval_finds_the_return_that_ended_the_run(options: TrainOptions, network: tuple[str, ...]) -> None:
    summary = train_solo(small(*network), options)
    line = evaluate_file(file_of(options), episodes=2, seed=1_000_000_000, device="cpu").text()
    assert f"mean return {summary.outcome.progress.curve[-1].greedy_return:.1f} " in line
    assert "one learner of run cartpole" in line


def test_equal_seeds_give_equal_models_whatever_is_evaluated_when(options: TrainOptions, tmp_path: Path) -> None:
    other = replace(options, eval_env_steps=None, model_file=tmp_path / "other.safetensors")
    train_solo(small(), options)
    train_solo(small(), other)
    assert model_bytes(file_of(options)) == model_bytes(file_of(other))
    train_solo(small("run.seed=2"), other)
    assert model_bytes(file_of(options)) != model_bytes(file_of(other))


def test_the_target_ends_the_run(options: TrainOptions) -> None:
    summary = train_solo(small("stop.mean_return=1.0"), options)
    assert summary.outcome.reason == "return"
    assert summary.outcome.progress.env_steps == 0
    assert "solved" in summary.text()


def test_without_a_name_the_model_goes_below_the_data_folder(tmp_path: Path) -> None:
    config = small(f"storage.data_dir={tmp_path / 'data'}")
    summary = train_solo(config, TrainOptions(max_env_steps=64))
    assert summary.model_file.exists()
    assert summary.model_file.parent.parent == tmp_path / "data" / "train"
    assert summary.model_file.name == "model.safetensors"


def test_runs_of_other_settings_keep_their_models_apart_and_a_replaced_one_is_told(tmp_path: Path) -> None:
    data_dir, bounded = f"storage.data_dir={tmp_path}", TrainOptions(max_env_steps=64)
    first = train_solo(small(data_dir), bounded)
    others = [
        train_solo(small(data_dir, "ppo.learning_rate=0.0123"), bounded),
        train_solo(small(data_dir, "stop.episodes=3"), bounded),
        train_solo(small(data_dir), TrainOptions(max_env_steps=128)),
        train_solo(small(data_dir), TrainOptions(max_env_steps=64, eval_env_steps=32)),
    ]
    assert len({summary.model_file for summary in (first, *others)}) == 5
    assert not any("replaced" in summary.text() for summary in (first, *others))
    again = train_solo(small(data_dir, "compute.threads=1", "log.level=debug"), bounded)
    assert again.model_file == first.model_file
    assert f"; what was there is kept as {first.model_file.with_name('model.previous.safetensors')}" in again.text()
    assert json.loads(again.json())["model_replaced"] is True


def test_a_folder_that_cannot_be_written_is_told_before_training(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(train, "make_ppo_agent", lambda *_: pytest.fail("training began"))
    with pytest.raises(StorageError, match="file"):
        train_solo(small(), replace(options, model_file=tmp_path / "file" / "model.safetensors"))


def test_a_folder_in_the_models_place_is_told_before_training(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_of(options).mkdir()
    monkeypatch.setattr(train, "make_ppo_agent", lambda *_: pytest.fail("training began"))
    with pytest.raises(StorageError, match=r"cannot write the model .*: is a directory"):
        train_solo(small(), options)


def test_a_name_too_long_for_what_is_written_beside_it_is_told_before_training(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's own name is short enough; what becomes its state, until it is whole, has a longer one."""
    monkeypatch.setattr(train, "make_ppo_agent", lambda *_: pytest.fail("training began"))
    name = "m" * (242 - len(".safetensors")) + ".safetensors"
    with pytest.raises(StorageError, match=r"cannot write the state of the run .*: file name too long"):
        train_solo(small(), replace(options, model_file=tmp_path / name))


@pytest.mark.parametrize("path", [".", "", "/"])
def test_a_folder_without_a_name_in_the_models_place_is_told(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "make_ppo_agent", lambda *_: pytest.fail("training began"))
    with pytest.raises(StorageError, match=r"cannot write the model [./]: is a directory; name a file in it"):
        train_solo(small(), replace(options, model_file=Path(path)))


def test_a_curve_that_cannot_be_written_is_told_before_a_new_run_is_said_to_begin(
    options: TrainOptions, tmp_path: Path
) -> None:
    file_of(options).write_bytes(b"an earlier model")
    told: list[str] = []
    with pytest.raises(StorageError, match=r"cannot write the learning curve .*: is a directory"):
        train_solo(small(), replace(options, curve_file=tmp_path), tell=told.append)
    assert told == []


def test_a_pipe_in_the_models_place_is_told_before_training(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(file_of(options))
    monkeypatch.setattr(train, "make_ppo_agent", lambda *_: pytest.fail("it trained"))
    with pytest.raises(StorageError, match=r"cannot write the model .*: it is a device, pipe or socket"):
        train_solo(small(), options)
    assert file_of(options).is_fifo()


def test_an_old_model_stays_until_the_new_one_is_whole(options: TrainOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    file_of(options).write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"(?i)no space left"):
        train_solo(small(), options)
    assert file_of(options).read_bytes() == b"old"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_what_was_learned(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = signal.getsignal(number)

    def interrupt(_self: LineDisplay, progress: Progress) -> None:
        if progress.env_steps >= 512:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(LineDisplay, "evaluated", interrupt)
    summary = train_solo(small(), replace(options, max_env_steps=None))
    assert summary.outcome.reason == "interrupted"
    assert summary.exit_code == 0
    assert load_model(file_of(options)).settings["env_steps"] == str(summary.outcome.progress.env_steps)
    assert signal.getsignal(number) is before


class Diverging:
    """The real learner until 256 env steps; from there on its loss is NaN."""

    def __init__(self, agent: PpoAgent) -> None:
        self._agent = agent

    def __getattr__(self, name: str) -> Any:  # Any: whatever the agent has
        return getattr(self._agent, name)

    def train(self, max_env_steps: int, max_seconds: float) -> PpoTrainStats:
        if self._agent.env_steps >= 256:
            raise NonFiniteError("the policy loss is nan")
        return self._agent.train(max_env_steps, max_seconds)


def test_divergence_saves_the_last_sound_model_and_says_so(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train_solo(small(), replace(options, max_env_steps=256))
    sound = model_bytes(file_of(options))
    monkeypatch.setattr(train, "make_ppo_agent", lambda *given: Diverging(make_ppo_agent(*given)))
    summary = train_solo(small(), replace(options, max_env_steps=10**6, model_file=tmp_path / "diverged.safetensors"))
    assert summary.outcome.reason == "diverged"
    assert summary.exit_code == 1
    assert model_bytes(tmp_path / "diverged.safetensors") == sound
    assert "the policy loss is nan" in summary.text()
    assert "env step 256" in summary.text()
    assert json.loads(summary.json())["cause"] == "the policy loss is nan"


def test_many_variants_and_few_envs_train_all(options: TrainOptions) -> None:
    variants = ",".join(f"v{i}: {{params: {{length: 0.{i + 1}}}}}" for i in range(6))
    config = small(f"env.variants={{{variants}}}", "ppo.num_envs=2", "ppo.minibatch_size=16")
    assert [len(turn) for turn in train._turns(config, num_envs=2)] == [2, 2, 2]
    assert train_solo(config, options).outcome.progress.env_steps >= 640


def test_the_summary_as_json_holds_the_curve_and_no_nan(options: TrainOptions, tmp_path: Path) -> None:
    plot = tmp_path / "curve.png"
    summary = train_solo(small(), replace(options, plot=plot))
    result = json.loads(summary.json())
    assert (result["env"], result["reason"], result["env_steps"]) == ("CartPole-v1", "env_steps", 640)
    assert result["device"] == "cpu"
    assert result["curve"][0]["train_return"] is None
    assert [point["env_steps"] for point in result["curve"]] == [0, 256, 512, 640]
    assert result["plot"] == str(plot)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_every_evaluation_is_a_line_with_the_figures_of_its_updates(options: TrainOptions, tmp_path: Path) -> None:
    summary = train_solo(small(), replace(options, curve_file=tmp_path / "curve.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert lines == json.loads(summary.json())["curve"]
    assert json.loads(summary.json())["curve_file"] == str(tmp_path / "curve.jsonl")
    assert [line["env_steps"] for line in lines] == [0, 256, 512, 640]
    assert lines[0]["entropy"] is None
    assert all(0.0 < line["entropy"] <= math.log(2.0) for line in lines[1:])
    assert all(line["value_loss"] > 0.0 and line["learning_rate"] == 0.001 for line in lines[1:])
    assert sum(line["train_episodes"] for line in lines) > 0


def test_curve_is_there_while_the_run_goes_on(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "curve.jsonl", list[int]()
    monkeypatch.setattr(LineDisplay, "evaluated", lambda *_: seen.append(path.read_text().count("\n")))
    train_solo(small(), replace(options, curve_file=path))
    assert seen == [1, 2, 3, 4]


def test_curve_that_cannot_be_written_on_is_told_and_ends_no_run(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "curve.jsonl"

    def remove(_self: LineDisplay, progress: Progress) -> None:
        if progress.env_steps == 256:
            path.unlink()
            path.mkdir()

    monkeypatch.setattr(LineDisplay, "evaluated", remove)
    summary = train_solo(small(), replace(options, curve_file=path))
    assert summary.outcome.progress.env_steps == 640
    assert f"every evaluation: cannot write on in {path}: is a directory" in summary.text()


def test_a_plot_that_fails_after_training_is_told_in_the_summary(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = tmp_path / "curve.png"
    plot.write_text("an earlier one")

    def full(path: Path, _data: bytes) -> None:
        raise StorageError(f"cannot write {path}: no space left on device")

    monkeypatch.setattr("peer.solo.plot.write_atomic", full)
    summary = train_solo(small(), replace(options, plot=plot))
    assert f"learning curve: cannot write {plot}: no space left on device" in summary.text()
    assert json.loads(summary.json())["plot"] is None
    assert summary.exit_code == 0
    assert plot.read_text() == "an earlier one"


def test_settings_beside_the_model_train_it_once_more(tmp_path: Path) -> None:
    config = small(f"storage.data_dir={tmp_path}", "run.seed=5", "env.variants={long: {params: {length: 0.7}}}")
    summary = train_solo(config, TrainOptions(max_env_steps=128))
    path = summary.model_file.with_name("settings.yaml")
    assert path.read_text().startswith("# Trained by murmur train -c settings.yaml --env-steps 128\n")
    again = load_config([path], {}, [f"storage.data_dir={tmp_path}"], known_envs=KnownEnvs())
    assert again == config
    first = model_bytes(summary.model_file)
    assert train_solo(again, TrainOptions(max_env_steps=128)).model_file == summary.model_file
    assert model_bytes(summary.model_file) == first
    earlier, written = ["model.previous.safetensors"], ["model.safetensors"]
    states = [f"{name}.state" for name in (*earlier, *written)]
    assert {file.name for file in path.parent.iterdir()} == {"curve.jsonl", path.name, *earlier, *written, *states}


def test_summary_names_a_better_evaluation_than_the_last(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    returns = iter([10.0, 40.0, 30.0, 20.0])
    monkeypatch.setattr(PpoAgent, "evaluate", lambda *_: next(returns))
    assert "greedy return 20.0; best 40.0 at 256 env steps" in train_solo(small(), options).text()


def test_one_file_for_two_things_is_refused(options: TrainOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "make_ppo_agent", lambda *_: pytest.fail("training began"))
    with pytest.raises(ValueError, match=r"-o and --curve both name .*model\.safetensors: give each a file of its own"):
        train_solo(small(), replace(options, curve_file=file_of(options).parent / "." / "model.safetensors"))
    assert not file_of(options).exists()


@pytest.mark.parametrize("option", ["-o", "--curve", "--plot", "--tensorboard"])
def test_a_name_that_is_no_text_is_told_before_training(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(train, "make_ppo_agent", lambda *_: pytest.fail("training began"))
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    named = {
        "-o": replace(options, model_file=path),
        "--curve": replace(options, curve_file=path),
        "--plot": replace(options, plot=path),
        "--tensorboard": replace(options, tensorboard=path),
    }
    with pytest.raises(ValueError, match=rf"^{option} expects a name in UTF-8, got '.*caf\\udce9\.png'$"):
        train_solo(small(), named[option])
    assert list(tmp_path.iterdir()) == []


def test_a_curve_that_is_a_link_to_itself_is_told(options: TrainOptions, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StorageError, match=r"cannot write the learning curve .*loop: too many levels of symbolic"):
        train_solo(small(), replace(options, curve_file=tmp_path / "loop"))
