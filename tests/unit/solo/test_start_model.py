"""A run that begins with a saved model: what it takes over, what it begins afresh, and what does not fit."""

from pathlib import Path

import numpy as np
import pytest

from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.sources import Base
from peer.errors import ConfigError, StorageError
from peer.known_envs import KnownEnvs
from peer.solo.options import TrainOptions
from peer.solo.start_model import load_start_model
from peer.solo.train import train_solo
from peer.storage.model_file import ModelFile, load_model, save_model

SMALL = ("ppo.num_envs=4", "ppo.rollout_steps=16", "ppo.minibatch_size=32", "ppo.epochs=1")
BOUNDED = ("stop.mean_return=null", "stop.episodes=2", "compute.device=cpu")
NETWORK = ("model.hidden=[8]", "model.activation=relu", "ppo.normalize_observations=true")


def config(*overrides: str, base: Base | None = None) -> Config:
    return load_config([], {}, [*SMALL, *BOUNDED, *overrides], base=base, known_envs=KnownEnvs())


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    path = tmp_path / "trained.safetensors"
    train_solo(config(*NETWORK, "run.name=pole"), TrainOptions(max_env_steps=640, model_file=path))
    return path


def test_weights_and_statistics_are_taken_over_and_the_rest_begins_afresh(trained: Path, tmp_path: Path) -> None:
    start = load_start_model(trained)
    base = Base(source=str(trained), lines=start.usual)
    path = tmp_path / "on.safetensors"
    summary = train_solo(config(base=base), TrainOptions(max_env_steps=64, model_file=path, start=start))
    before = load_model(trained)
    first = summary.outcome.progress.curve[0]
    assert (first.env_steps, summary.config.run.name) == (0, "pole")
    again = train_solo(
        config("stop.mean_return=-1000", base=base),
        TrainOptions(model_file=tmp_path / "same.safetensors", start=start),
    )
    assert f"to go on: murmur train --resume -o {again.model_file} stop.mean_return=null" in again.text()
    same = load_model(again.model_file)
    assert same.state.params.tobytes() == before.state.params.tobytes()
    assert same.state.moments.mean.tobytes() == before.state.moments.mean.tobytes()
    assert same.settings["began_with"] == before.settings["model_hash"]
    after = load_model(path)
    assert after.settings["env_steps"] == "64"
    assert after.state.moments.count[0] == before.state.moments.count[0] + 64
    assert not np.array_equal(after.state.params, before.state.params)


def test_runs_that_begin_with_other_models_keep_apart(trained: Path, tmp_path: Path) -> None:
    start = load_start_model(trained)
    settings = config(f"storage.data_dir={tmp_path}", base=Base(source="", lines=start.usual))
    begun = train_solo(settings, TrainOptions(max_env_steps=64, start=start))
    assert begun.model_file != train_solo(settings, TrainOptions(max_env_steps=64)).model_file
    text = begun.model_file.with_name("settings.yaml").read_text()
    assert text.startswith(f"# Trained by murmur train -c settings.yaml --from {trained} --env-steps 64\n")


def test_every_setting_that_does_not_fit_is_named(trained: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_start_model(trained).check_fits(config("env.name=Pendulum-v1", "ppo.normalize_observations=true"))
    assert str(refused.value).splitlines() == [
        f"env.name: {trained} was trained with CartPole-v1, got Pendulum-v1; leave env.name out, or set it to"
        " CartPole-v1",
        f"model.hidden: {trained} was trained with [8], got [64,64]; leave model.hidden out, or set it to [8]",
        f"model.activation: {trained} was trained with relu, got tanh; leave model.activation out, or set it to relu",
    ]


def test_model_that_a_run_begins_with_is_not_replaced_by_it(trained: Path, tmp_path: Path) -> None:
    start = load_start_model(trained)
    settings = config(base=Base(source="", lines=start.usual))
    for place in (trained, tmp_path / "x" / ".." / "trained.safetensors"):
        with pytest.raises(ValueError, match=r"--from and -o both name .*trained.safetensors: give each a file"):
            train_solo(settings, TrainOptions(max_env_steps=64, model_file=place, start=start))
    earlier = tmp_path / "m.previous.safetensors"
    trained.rename(earlier)
    options = TrainOptions(max_env_steps=64, model_file=tmp_path / "m.safetensors", start=load_start_model(earlier))
    with pytest.raises(ValueError, match=r"--from and what -o replaces both name .*m.previous.safetensors"):
        train_solo(settings, options)


def test_damaged_and_lying_files_are_told(trained: Path, tmp_path: Path) -> None:
    model = load_model(trained)
    (tmp_path / "cut.safetensors").write_bytes(trained.read_bytes()[:400])
    with pytest.raises(StorageError, match=r"cut.safetensors cannot be read as a model"):
        load_start_model(tmp_path / "cut.safetensors")
    huge = tmp_path / "huge.safetensors"
    save_model(huge, ModelFile(state=model.state, settings=model.settings | {"hidden": "4096,4096,4096"}))
    with pytest.raises(StorageError, match=r"huge.safetensors does not fit its own description: hidden layers of"):
        load_start_model(huge)
    other = tmp_path / "other.safetensors"
    save_model(other, ModelFile(state=model.state, settings=model.settings | {"hidden": "9"}))
    start = load_start_model(other)
    settings = config(base=Base(source="", lines=start.usual))
    with pytest.raises(StorageError, match=r"other.safetensors does not fit its own description: .*params"):
        train_solo(settings, TrainOptions(max_env_steps=64, model_file=tmp_path / "m.safetensors", start=start))
