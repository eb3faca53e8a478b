"""What `murmur bench` measures with: published settings, overrides, and mistakes that are named."""

from collections.abc import Callable

import pytest

from peer.config.schema import Config
from peer.errors import ConfigError
from peer.solo.settings import SETTINGS, BenchOptions, stepping_config, train_config


@pytest.mark.parametrize(
    ("setting", "envs", "steps", "epochs", "minibatch"),
    [("classic", 8, 128, 4, 256), ("throughput", 1024, 64, 2, 16384)],
)
def test_the_settings_are_the_published_ones(setting: str, envs: int, steps: int, epochs: int, minibatch: int) -> None:
    config = train_config(BenchOptions(setting=setting))
    ppo = config.ppo
    assert (ppo.num_envs, ppo.rollout_steps, ppo.epochs, ppo.minibatch_size) == (envs, steps, epochs, minibatch)
    assert config.model.hidden == (64, 64)
    assert config.model.activation == "tanh"
    assert ppo.value_clip_range == 0.2
    assert ppo.max_grad_norm == 0.5
    assert config.compute.threads == 1


def test_the_environment_has_no_say_in_a_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MURMUR_PPO__NUM_ENVS", "3")
    assert train_config(BenchOptions(setting="classic")).ppo.num_envs == 8


def test_overrides_win_over_the_setting() -> None:
    config = train_config(BenchOptions(setting="classic", overrides=("ppo.num_envs=16", "ppo.epochs=1")))
    assert (config.ppo.num_envs, config.ppo.epochs) == (16, 1)


@pytest.mark.parametrize("load", [train_config, stepping_config])
def test_overrides_win_over_the_defaults_of_the_options(load: Callable[[BenchOptions], Config]) -> None:
    config = load(BenchOptions(setting="classic", overrides=("env.name=Pendulum-v1", "compute.threads=2")))
    assert (config.env.name, config.compute.threads) == ("Pendulum-v1", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            BenchOptions(setting="classic", env="Acrobot-v1", overrides=("env.name=Pendulum-v1",)),
            "--env Acrobot-v1 contradicts env.name=Pendulum-v1: give one of them",
        ),
        (
            BenchOptions(setting="classic", threads=1, overrides=("compute.threads=2",)),
            "--threads 1 contradicts compute.threads=2: give one of them",
        ),
        (
            BenchOptions(setting="classic", device="cpu", overrides=("compute.device=cuda",)),
            "--device cpu contradicts compute.device=cuda: give one of them",
        ),
        (
            BenchOptions(setting="classic", backend="fused", overrides=("compute.backend=libtorch",)),
            "--backend fused contradicts compute.backend=libtorch: give one of them",
        ),
    ],
)
def test_option_that_contradicts_an_override_is_refused(options: BenchOptions, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        train_config(options)


def test_option_that_says_the_same_as_an_override_is_fine() -> None:
    options = BenchOptions(setting="classic", env="Pendulum-v1", threads=2, overrides=("compute.threads=2",))
    assert train_config(options).compute.threads == 2


@pytest.mark.parametrize("setting", sorted(SETTINGS))
@pytest.mark.parametrize("num_envs", [1, 7, 1000])
def test_stepping_takes_any_number_of_envs(setting: str, num_envs: int) -> None:
    options = BenchOptions(setting=setting, overrides=(f"ppo.num_envs={num_envs}",))
    assert stepping_config(options).ppo.num_envs == num_envs


def test_stepping_uses_the_settings_number_of_envs() -> None:
    assert stepping_config(BenchOptions(setting="throughput")).ppo.num_envs == 1024


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BenchOptions(setting="clasic"), "--setting: expected one of classic, throughput, got 'clasic'; did you mean"),
        (BenchOptions(setting="fast"), "--setting: expected one of classic, throughput, got 'fast'"),
        (
            BenchOptions(setting="classic", env="CartPol-v1"),
            "env.name: unknown env 'CartPol-v1'; did you mean CartPole",
        ),
        (BenchOptions(setting="classic", env=""), "env.name"),
        (
            BenchOptions(setting="classic", overrides=("ppo.num_envs=0",)),
            "ppo.num_envs: expected a whole number from 1",
        ),
        (
            BenchOptions(setting="classic", overrides=("ppo.minibatch_size=100",)),
            "expected a divisor of .* 1024, got 100",
        ),
        (
            BenchOptions(setting="classic", overrides=("ppo.rollout_steps=5",)),
            r"^command line 'ppo.rollout_steps=5': ppo.minibatch_size: .* = 8 \* 5 = 40, got 256; 40 would do$",
        ),
        (BenchOptions(setting="classic", overrides=("ppo.num_env=9",)), "unknown key; did you mean ppo.num_envs"),
        (BenchOptions(setting="classic", threads=0), "compute.threads: expected auto or a whole number from 1"),
        (BenchOptions(setting="classic", device="gpu"), "compute.device: expected one of auto, cpu, cuda"),
        (BenchOptions(setting="classic", backend="cudnn"), "compute.backend"),
        (BenchOptions(setting="classic", seconds=0.0), "--seconds: expected a finite number above 0"),
        (BenchOptions(setting="classic", seconds=float("nan")), "--seconds: expected a finite number above 0"),
        (BenchOptions(setting="classic", seconds=float("inf")), "--seconds: expected a finite number above 0"),
        (BenchOptions(setting="classic", repeats=0), "--repeats: expected at least 1"),
    ],
)
def test_a_mistake_is_named_with_what_would_do(options: BenchOptions, message: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=message):
        train_config(options)
